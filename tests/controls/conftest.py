"""The cluster of the end-to-end tests, with the demo's Prometheus."""

from tests.e2e.conftest import cluster, digits, kubectl, served, stage

__all__ = ["cluster", "digits", "kubectl", "served", "stage"]
