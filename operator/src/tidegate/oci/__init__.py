"""Images of containers as files, and in registries: read, extended by a layer, written. No daemon."""
