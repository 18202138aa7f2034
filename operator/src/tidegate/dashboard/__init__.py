"""The page: every rollout, and one rollout live. It reads as its reader may, and writes what `tidegate.model.control`
says; neither the operator nor a router imports it."""
