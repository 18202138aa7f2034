"""`tidegate migrate`: other tools' resources as ModelDeployments, as far as both can say the same."""
