"""From arrays to arrays: the model, the queue before it, and how the machine is shared between runs."""
