"""What the operator does under odd conditions: a Prometheus that hangs."""
