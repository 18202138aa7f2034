"""Whether a revision has been seen to get nothing any more. Pure."""

from tidegate.model.observation import Observation


def is_drained(seen: Observation, revision: str, *, previews: bool = True) -> bool:
    """Whether the routers have been seen to send a revision nothing, since they were last told to.

    Without `previews`, requests that name the revision by header don't count: they end when it leaves the route.
    """
    if seen.split is None:
        return True
    if seen.route.awaited:
        return False  # a router that isn't seen to send anything may still go by an older route
    if seen.split.reaches(revision) or seen.share is None:
        return False
    since = seen.recorded.shifted_at
    requests = seen.share.any(revision) if previews else seen.share.live.get(revision, 0)
    return (since is None or seen.share.since >= since) and requests == 0
