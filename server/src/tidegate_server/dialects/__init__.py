"""The bodies that other servers' clients send, and the answers that they expect: each a translation of `/predict`."""
