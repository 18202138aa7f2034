"""The memory of what the operator follows is measured on pods as they are, and judged as it says."""

import json
from dataclasses import replace

import pytest

from benchmarks.informer.measuring import footprint
from benchmarks.informer.pods import pod, pods
from benchmarks.informer.report import Footprint, Memory, Results, goals, report
from tidegate.resources.pod_status import parse_pod

MIB = 1024 * 1024
SMALL = Memory(held=8 * MIB, list=14 * MIB, relist=15 * MIB, changed=20 * MIB)
LARGE = Memory(held=80 * MIB, list=100 * MIB, relist=180 * MIB, changed=180 * MIB)


def test_a_pod_is_as_large_as_a_real_one_and_says_what_the_operator_asks_for() -> None:
    made = pod(7, 70)
    parsed = parse_pod(made)

    assert 9_000 < len(json.dumps(made, separators=(",", ":"))) < 13_000
    assert (parsed.name, parsed.revision) == (
        made["metadata"]["name"],
        made["metadata"]["labels"]["tidegate.dev/revision"],
    )
    assert (parsed.node, parsed.failure) == (made["spec"]["nodeName"], None)
    assert parsed.facts is not None
    assert [tensor.name for tensor in parsed.facts.inputs] == ["input_ids", "attention_mask"]


def test_pods_of_a_revision_share_what_real_ones_share() -> None:
    parsed = [parse_pod(each) for each in pods(60, 1)]

    assert len({each.name for each in parsed}) == 60
    assert len({each.revision for each in parsed}) == 12
    assert len({each.node for each in parsed}) == 2


def test_figures_are_judged_and_compared() -> None:
    results = Results(5000, Footprint(SMALL, SMALL), Footprint(LARGE, LARGE), "abc1234")

    assert [(goal.figure, goal.met) for goal in goals(results)] == [
        ("1.6 KiB", True),
        ("7.0 MiB more", True),
        ("10.0×", True),
        ("10.0×", True),
    ]
    row = "| at abc1234, resident | 80.0 MiB | 16.4 KiB | 100.0 MiB | 180.0 MiB | 180.0 MiB |"
    assert row in " ".join(report(results).split())


@pytest.mark.parametrize(
    ("memory", "missed"),
    [
        pytest.param(replace(SMALL, relist=17 * MIB), [1], id="a second copy at a relist"),
        pytest.param(replace(SMALL, held=24 * MIB), [0, 2], id="24 MiB of 5,000 pods"),
    ],
)
def test_a_goal_is_missed_by(memory: Memory, missed: list[int]) -> None:
    results = Results(5000, Footprint(memory, SMALL), Footprint(LARGE, LARGE), "abc1234")

    assert [index for index, goal in enumerate(goals(results)) if not goal.met] == missed


def test_a_real_process_is_measured() -> None:
    found = footprint(200)

    assert 0 < found.traced.held < 200 * 4096
    assert found.traced.held < found.traced.list <= found.traced.changed
