"""`tidegate verify`."""
