"""Registries of models: what a name that may change means now, who approved a version, and what became of it."""
