"""A part of `make chaos`: two releases whose parts are killed and frozen, a good one and one that fails."""

from collections.abc import Iterator

import pytest

from benchmarks.chaos.__main__ import IMAGES
from benchmarks.chaos.plan import Component, Fault, Kind, Phase, Release
from benchmarks.chaos.trial import freshen, try_out
from benchmarks.progress import Progress
from benchmarks.traffic.bed import NAME, NAMESPACE, Bed, Rates
from tests.e2e.stage import Stage
from tidegate_demo.cluster.contexts import DemoCluster, OneNode
from tidegate_demo.watch import Sight

pytestmark = pytest.mark.e2e

RELEASES = {
    "a good model is promoted": Release(
        True,
        (
            Fault(Component.OPERATOR, Kind.KILLED, Phase.STARTING),
            Fault(Component.AGENT, Kind.KILLED, Phase.FIRST_STEP),
            Fault(Component.PROMETHEUS, Kind.FROZEN, Phase.SECOND_STEP),
            Fault(Component.API_SERVER, Kind.FROZEN, Phase.ALL),
        ),
    ),
    "a failing model goes back": Release(False, (Fault(Component.OPERATOR, Kind.KILLED, Phase.GOING_BACK),)),
}


@pytest.fixture
def bed(stage: Stage, cluster: DemoCluster) -> Iterator[Bed]:
    """A model of the benchmark's own, beside the stage's namespace."""
    if not isinstance(cluster, OneNode):
        pytest.skip("the cluster's processes aren't this machine's")
    with stage.kubectl.namespace(NAMESPACE), Sight(stage.kubectl, NAMESPACE, NAME) as sight:
        rates = Rates(kept=80.0, new=20.0)
        bed = Bed(stage.kubectl, stage.models, stage.files, stage.router, sight, Progress(0), rates, images=IMAGES)
        bed.apply("v2")
        bed.until("it is live", lambda seen: seen.is_current and seen.ready and seen.phase == "Live")
        yield bed


def test_parts_break_in_a_release(bed: Bed) -> None:
    for number, (title, release) in enumerate(RELEASES.items(), 1):
        freshen(bed)
        trial = try_out(bed, number, release)
        assert (trial.wrong, len(trial.struck), trial.counts.sent > 500) == ((), len(release.faults), True), (
            title,
            trial.lines,
        )
