"""`tidegate evaluate`."""
