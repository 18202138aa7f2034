"""The demo's cluster: a real Kubernetes, its images and its Prometheus, on a machine that may have none of them."""
