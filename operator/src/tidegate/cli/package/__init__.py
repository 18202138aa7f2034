"""`tidegate package`."""
