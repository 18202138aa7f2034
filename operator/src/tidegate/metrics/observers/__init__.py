"""What the series of a router or a model server are called: one module for each."""
