"""`tidegate status`: one model and its rollout as a tree, once, live, or until it has ended."""
