"""`tidegate rehearse`."""
