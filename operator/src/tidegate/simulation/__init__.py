"""Rollouts that never were: the real decisions on synthetic traffic. Pure."""
