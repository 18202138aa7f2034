"""What can go wrong with the demo's cluster, in one sentence for the person at the terminal."""


class ClusterError(Exception):
    """The cluster cannot be brought where it was asked to be; the message says what to do about it."""
