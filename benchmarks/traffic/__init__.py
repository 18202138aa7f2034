"""A steady load through the built-in router while one thing after another happens: which requests are lost."""
