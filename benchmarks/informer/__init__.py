"""How much memory the operator's copy of a cluster's pods takes, and how much more while it lists them anew."""
