"""Runs the operator: kopf's handlers, a work queue, and one reconcile per ModelDeployment."""
