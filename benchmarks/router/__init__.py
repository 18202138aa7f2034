"""What the router costs a request: the real Envoy as it is run, beside a direct connection."""
