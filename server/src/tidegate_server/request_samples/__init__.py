"""Bodies of live requests, drawn by chance, in memory, for whoever compares two revisions: off unless asked for."""
