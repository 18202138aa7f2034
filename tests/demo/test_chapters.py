"""A chapter is kept or broken by what was seen, and by nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tidegate_demo.chapters import CHAPTERS, Broken, Kept, State, Waiting, kills_now, state_of
from tidegate_demo.seen import Ended, Seen, SeenRevision, read

V1, V2, V3, V4, V5, V6 = CHAPTERS
ROLLED_BACK = Ended("digits-3", "RolledBack", "ErrorRateWorse", "error rate 20%", "t3")
SLOW = Ended("digits-4", "RolledBack", "LatencyWorse", "p50 100 ms", "t4")
PROMOTED = Ended("digits-2", "Promoted", "EvidenceSuffices", "no worse over 900 requests", "t2")


def seen(stable: str, *history: Ended, **other: Any) -> Seen:
    revision = SeenRevision(f"digits-{stable}", stable, 2)
    return replace(Seen(generation=2, observed_generation=2, ready=True, stable=revision, history=history), **other)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(state_of(V1, seen("v1"), Seen(), 5), Kept("v1 is live"), id="v1 serves: kept"),
        pytest.param(state_of(V1, seen("v1", ready=False), Seen(), 5), Waiting(), id="v1 isn't ready: wait"),
        pytest.param(state_of(V1, Seen(), Seen(), 5), Waiting(), id="nothing to be seen: wait"),
        pytest.param(
            state_of(V1, Seen(), Seen(), 121),
            Broken("not within 120 s; last seen: no ModelDeployment"),
            id="nothing to be seen for too long: broken",
        ),
        pytest.param(
            state_of(V2, seen("v1", phase="Canary", analysis="3 of 20"), seen("v1"), 181),
            Broken("not within 180 s; last seen: Canary, 3 of 20"),
            id="no verdict for too long: broken, and it says what was seen",
        ),
        pytest.param(
            state_of(V2, seen("v2", PROMOTED), seen("v1"), 60),
            Kept("no worse over 900 requests"),
            id="v2 is promoted: kept",
        ),
        pytest.param(
            state_of(V2, seen("v2", PROMOTED, observed_generation=1), seen("v1"), 60),
            Waiting(),
            id="a status of an older spec says nothing",
        ),
        pytest.param(
            state_of(V2, seen("v1", ROLLED_BACK), seen("v1"), 60),
            Broken("RolledBack, ErrorRateWorse: error rate 20%"),
            id="v2 is rolled back: broken",
        ),
        pytest.param(
            state_of(V3, seen("v2", ROLLED_BACK, PROMOTED), seen("v2", PROMOTED), 20),
            Kept("ErrorRateWorse: error rate 20%"),
            id="v3 is rolled back: kept",
        ),
        pytest.param(
            state_of(V3, seen("v2", ROLLED_BACK, weight=10), seen("v2"), 20),
            Waiting(),
            id="v3 still has traffic: wait",
        ),
        pytest.param(
            state_of(V3, seen("v2", PROMOTED), seen("v2", PROMOTED), 20), Waiting(), id="an old end is no end of this"
        ),
        pytest.param(
            state_of(V3, seen("v3", replace(PROMOTED, revision="digits-3")), seen("v2", PROMOTED), 20),
            Broken("Promoted, EvidenceSuffices: no worse over 900 requests"),
            id="v3 is promoted: broken",
        ),
        pytest.param(
            state_of(V4, seen("v2", SLOW), seen("v2", ROLLED_BACK), 20), Kept("LatencyWorse: p50 100 ms"), id="v4: kept"
        ),
        pytest.param(
            state_of(V4, seen("v2", ROLLED_BACK), seen("v2"), 20),
            Broken("rolled back for ErrorRateWorse instead of Latency: error rate 20%"),
            id="v4 is rolled back for another reason: broken",
        ),
        pytest.param(
            state_of(V6, seen("v6", PROMOTED), seen("v5"), 60),
            Broken("promoted before the operator could be killed"),
            id="v6 without the killing is another story: broken",
        ),
        pytest.param(
            state_of(V6, seen("v6", PROMOTED), seen("v5"), 60, killed=True),
            Kept("no worse over 900 requests"),
            id="v6 after the killing: kept",
        ),
    ],
)
def test_chapter(state: State, expected: State) -> None:
    assert state == expected


@pytest.mark.parametrize(
    ("kills", "expected"),
    [
        pytest.param(kills_now(V6, seen("v5", weight=10)), False, id="the first step is too early"),
        pytest.param(kills_now(V6, seen("v5", weight=25)), True, id="the second step is the middle"),
        pytest.param(kills_now(V6, seen("v5", weight=50)), True, id="a missed second step doesn't matter"),
        pytest.param(kills_now(V6, seen("v5")), False, id="no candidate"),
        pytest.param(kills_now(V2, seen("v1", weight=50)), False, id="no other chapter kills"),
    ],
)
def test_the_operator_is_killed_in_the_middle(kills: bool, expected: bool) -> None:
    assert kills is expected


def test_a_status_is_read_whole() -> None:
    body = {
        "metadata": {"generation": 3},
        "status": {
            "observedGeneration": 3,
            "phase": "Canary",
            "message": "step 2 of 3",
            "rollout": {"progress": "2/3"},
            "stable": {"revision": "digits-a", "readyReplicas": 2, "model": {"uri": "http://h:1/digits-v1.onnx"}},
            "candidate": {"revision": "digits-b", "readyReplicas": 1, "model": {"uri": "http://h:1/digits-v2.onnx"}},
            "traffic": {"candidate": 25, "observedCandidate": "24.6%"},
            "analysis": {
                "verdict": "NotEnoughEvidence",
                "message": "more needed",
                "evidence": {"worse": "1 of 100", "acceptable": "8 of 20"},
            },
            "conditions": [
                {"type": "Ready", "status": "True", "message": "serving"},
                {"type": "Stalled", "status": "False", "message": "nothing is in the way"},
            ],
            "history": [
                {"revision": "digits-a", "outcome": "Promoted", "reason": "R", "message": "m", "startedAt": "t"}
            ],
        },
    }
    assert read(body) == Seen(
        generation=3,
        observed_generation=3,
        phase="Canary",
        message="step 2 of 3",
        progress="2/3",
        ready=True,
        stalled="",
        stable=SeenRevision("digits-a", "v1", 2),
        candidate=SeenRevision("digits-b", "v2", 1),
        weight=25,
        observed="24.6%",
        verdict="NotEnoughEvidence",
        analysis="more needed",
        worse="1 of 100",
        acceptable="8 of 20",
        history=(Ended("digits-a", "Promoted", "R", "m", "t"),),
    )


@pytest.mark.parametrize("body", [{}, {"metadata": {"generation": 1}}, {"metadata": {"generation": 1}, "status": None}])
def test_an_object_without_a_status_is_not_current(body: dict[str, Any]) -> None:
    assert not read(body).is_current
