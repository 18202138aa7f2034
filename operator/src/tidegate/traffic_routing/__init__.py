"""Routers behind one protocol; a new one is one module and one row."""
