"""Checks of an endpoint that serves a model, and of the image that it came from, from outside."""
