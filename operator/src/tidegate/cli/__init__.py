"""The commands for people: what the judge made of a rollout, and what it would make of one."""
