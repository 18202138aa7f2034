"""The router: an Envoy, and beside it an agent that writes what Envoy should do into files."""
