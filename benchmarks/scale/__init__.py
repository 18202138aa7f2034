"""`python -m benchmarks.scale`: operator and router with up to 1,000 ModelDeployments of a real API server."""
