"""The nouns: frozen dataclasses and enums. Pure; nothing here knows of Kubernetes, Prometheus or the clock."""
