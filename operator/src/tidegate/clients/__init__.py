"""The only modules that leave the process."""
