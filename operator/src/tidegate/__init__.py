"""Tidegate's operator and router: models move to production as evidence arrives, and back when it turns."""
