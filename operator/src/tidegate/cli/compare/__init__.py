"""`tidegate compare`."""
