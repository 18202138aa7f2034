"""What a person asks of a rollout: pause, resume, approve, promote, skip, abort, retry, restart, undo."""
