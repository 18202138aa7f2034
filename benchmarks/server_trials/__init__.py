"""`make trials-server`: what the model server has to stand, tried on a running one."""
