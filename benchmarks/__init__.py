"""Benchmarks of what isn't one program's own; the model server's are in `server/benchmarks`."""
