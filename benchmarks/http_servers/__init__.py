"""`make bench-fronts`: what could stand between the network and the model, compared with the same handler."""
