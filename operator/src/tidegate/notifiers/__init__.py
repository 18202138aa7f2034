"""Whoever is told of what happens to rollouts. Nothing waits for them."""
