"""`tidegate replay`."""
