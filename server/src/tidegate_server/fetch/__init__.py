"""Brings the model: from its source to a checked file, and a report for Kubernetes on how that went."""
