"""What a candidate has been asked since its pods began, beside its training, as its servers count both. PURE."""

from datetime import datetime, timedelta

from tidegate.metrics.increments import ASKED, BETWEEN, Sample
from tidegate.metrics.lateness import LATEST
from tidegate.metrics.provider import STALE, Selection, Sources
from tidegate.model.inputs import Features, Values
from tidegate.model.traffic import Arms

SECOND = timedelta(seconds=1)


def features_of(sources: Sources, arms: Arms, until: datetime, propagation_delay: timedelta) -> Features:
    """One query. Raises MetricsUnavailable."""
    looks_back = min(STALE, propagation_delay + LATEST)
    wanted = Selection(arms.namespace, arms.name, (arms.candidate,), only_inputs=True, looks_back=looks_back)
    (sample,) = sources.detail_readings(wanted, until, SECOND, 1).samples
    return features_in(sample)


def features_in(sample: Sample) -> Features:
    """All pods' live values together; of the training data each pod tells the same."""
    found: dict[str, dict[str, Values]] = {}
    for key, counted in sample.items():
        feature, _, bin_name = key.of.partition(BETWEEN)
        bins = found.setdefault(feature, {})
        live, trained = bins.get(bin_name, Values())
        value = round(counted.value)
        bins[bin_name] = Values(live + value, trained) if key.measure == ASKED else Values(live, max(trained, value))
    return found
