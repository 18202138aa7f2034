"""A model and its server as one image."""
