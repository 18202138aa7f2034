"""Several processes behind one port, for models so small that Python's time is all that counts."""
