"""What a query over the last minutes tells, as Prometheus would. Pure."""

import numpy as np

from benchmarks.judge.traffic import Bools, Floats, Ints
from tidegate.simulation.synthetic_traffic import BOUNDS

_BOUNDS = np.array(BOUNDS)


def over_windows(values: Ints, interval: int, *, window: int, every: int) -> Ints:
    """Sums over `window` seconds before each look; the first looks see what there is so far."""
    ends = np.arange(every, len(values) * interval + 1, every) // interval
    starts = np.maximum(0, ends - window // interval)
    counter = np.concatenate([np.zeros_like(values[:1]), values.cumsum(axis=0)])
    summed: Ints = counter[ends] - counter[starts]
    return summed


def share(part: Ints, whole: Ints) -> Floats:
    """NaN where there is nothing."""
    found: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return found


def percentile(histograms: Ints, quantile: float) -> Floats:
    """`histogram_quantile`: linear inside a bucket; the last finite bound where it lies above; NaN of nothing."""
    totals = histograms[:, -1]
    rank = quantile * totals
    index = (histograms < rank[:, np.newaxis]).sum(axis=1)
    row = np.arange(len(histograms))
    lower = np.where(index > 0, _BOUNDS[index - 1], 0.0)
    below = np.where(index > 0, histograms[row, index - 1], 0)
    inside = np.maximum(histograms[row, index] - below, 1)
    beyond = index == len(BOUNDS) - 1
    upper = np.where(beyond, lower, _BOUNDS[index])
    value = lower + (upper - lower) * (rank - below) / inside
    return np.where(totals > 0, value, np.nan)


def nth(wrong: Bools, number: int) -> int | None:
    """The index at which something is wrong for the `number`th time."""
    found = np.flatnonzero(wrong)
    return int(found[number - 1]) if len(found) >= number else None
