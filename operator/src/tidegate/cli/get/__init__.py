"""`tidegate get`: the models and how their rollouts stand."""
