"""The router: an Envoy, and beside it an agent that tells Envoy what to do."""
