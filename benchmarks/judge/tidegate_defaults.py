"""The product's own default analysis, read from the CRD, so that the benchmark copies none of its numbers."""

import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import NormalDist

import yaml

from tidegate.judge.latency import boundaries_of
from tidegate.judge.metric import LATENCY_LEEWAY
from tidegate.model.evidence import Durations
from tidegate.model.spec import Analysis, Margin, ModelDeploymentSpec
from tidegate.resources.crd_schema import with_defaults
from tidegate.simulation.synthetic_traffic import BOUNDS, SIGMA

CRD = Path(__file__).resolve().parents[2] / "crds" / "modeldeployments.yaml"
MEDIAN = 0.03
"""Seconds of stable's latency, wherever latency is drawn."""
ANY_MODEL = {"model": {"uri": "https://models/1.onnx"}}


def default_spec() -> ModelDeploymentSpec:
    """What holds where the user has named a model and nothing else."""
    crd = yaml.safe_load(CRD.read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return ModelDeploymentSpec.parse(with_defaults(spec, ANY_MODEL))


def default_analysis() -> Analysis:
    """How the judge looks where the user has said nothing."""
    return default_spec().analysis


def strict(analysis: Analysis) -> Analysis:
    """The same, but it tolerates no difference: neither in errors nor in latency."""
    return replace(
        analysis,
        error_rate=replace(analysis.error_rate, tolerate=Margin(1.0, 0.0)),
        latency=replace(analysis.latency, tolerate=0.0, negligible=timedelta(0)),
    )


def rate_at_margin(margin: Margin, stable: float) -> float:
    """The candidate's error rate that lies exactly at a margin."""
    return margin.ratio * stable + margin.absolute


def acceptable_slowdown(analysis: Analysis, median: float) -> float:
    """How many times stable's latency takes one percentile exactly to the line of what is acceptable.

    That line leaves a percentile half of what lies above it (`LATENCY_LEEWAY`), at the buckets that the judge chooses.
    """
    normal, many = NormalDist(), 10**6
    below = [1.0 if math.isinf(bound) else normal.cdf(math.log(bound / median) / SIGMA) for bound in BOUNDS]
    stable = Durations(BOUNDS, tuple(round(share * many) for share in below))
    chosen = boundaries_of(stable, analysis.latency)
    lines = [
        (BOUNDS[each.accept], 1 - below[each.stable] + LATENCY_LEEWAY * (1 - each.quantile / 100)) for each in chosen
    ]
    return min(bound / (median * math.exp(SIGMA * normal.inv_cdf(1 - share))) for bound, share in lines)
