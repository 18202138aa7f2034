"""Equal models on busy deployments: how often the judge rolls one back."""
