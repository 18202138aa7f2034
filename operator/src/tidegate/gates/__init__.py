"""Whoever a rollout asks before it goes on. Their answers come later, and nothing waits for them."""
