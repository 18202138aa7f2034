"""`tidegate check`: whether cluster, operator, routers and Prometheus are as a release needs them."""
