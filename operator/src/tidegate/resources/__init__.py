"""Manifests and names, both directions side by side. Pure."""
