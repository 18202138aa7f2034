"""The API server: plain requests, watched objects, the leader's Lease."""
