"""Why a release can't be made, in one sentence."""


class ReleaseError(Exception):
    """What is wrong, and what to do."""
