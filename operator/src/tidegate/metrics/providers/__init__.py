"""Systems that hold series; a new one is one module."""
