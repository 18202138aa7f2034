"""HTTP/1.1 on an event loop: whole requests in, whole responses out, everything bounded in size and time."""
