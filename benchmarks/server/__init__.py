"""`make bench-server`: the model server beside the bare runtime and its peers, same models, same client, same cores."""
