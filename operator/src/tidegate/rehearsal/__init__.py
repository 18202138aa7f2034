"""A whole release on one machine without a cluster: real model servers, a real Envoy, the operator's own decisions."""
