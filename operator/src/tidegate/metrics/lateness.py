"""How late samples come: by remote write, or a store behind a queue. Measured by the samples' own times. PURE."""

from datetime import datetime, timedelta

from tidegate.metrics.provider import Readings
from tidegate.model.evidence import MetricsGap
from tidegate.model.reasons import Reason
from tidegate.model.units import format_duration

LATEST = timedelta(minutes=1)
"""Counters that come later than that are no news to judge a rollout by."""


def points_known(readings: Readings, start: datetime, step: timedelta, propagation_delay: timedelta) -> int:
    """How many of the points have all their samples by now.

    A scrape is at most a propagation delay after the one before; a point further than that from the newest sample still
    has one on its way. Where there are none at all, nothing is on its way.
    """
    points = len(readings.samples)
    if readings.newest is None:
        return points
    reach = readings.newest + propagation_delay.total_seconds() - start.timestamp()
    return max(0, min(points, int(reach // step.total_seconds()) + 1))


def too_old(readings: Readings, who: str, propagation_delay: timedelta, until: datetime) -> MetricsGap | None:
    """What to say where even the newest sample is too old at `until`."""
    if readings.newest is None:
        return None
    age = timedelta(seconds=round(until.timestamp() - readings.newest))
    if age <= propagation_delay + LATEST:
        return None
    return MetricsGap(
        Reason.SAMPLES_TOO_OLD,
        f"the newest counters of the {who} are {format_duration(age)} old, and at most "
        f"{format_duration(propagation_delay + LATEST)} can be judged by; check that their pods are scraped, and how "
        "far behind remote write is",
    )
