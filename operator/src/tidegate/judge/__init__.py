"""Turns increments of counters into a verdict whose mistakes are bounded. Pure."""
