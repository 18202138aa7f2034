"""HTTP/1.1 on an event loop: whole requests in, whole answers out, everything bounded in size and time."""
