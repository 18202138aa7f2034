"""Shows Tidegate at work on a real cluster: real models, real input, real load."""
