"""What a poll costs is measured on the operator's own code, and a dear one is told so."""

from benchmarks.judge.cost import Cost, cost_of_a_poll, cost_report


def test_a_poll_asks_twice_and_takes_some_time() -> None:
    cost = cost_of_a_poll(polls=3)

    assert cost.queries == 2
    assert 0 < cost.median <= cost.most


def test_a_dear_poll_is_missed() -> None:
    assert "**met**" in cost_report(Cost(3.0, 19.0, 2.0, 9))
    assert "**missed**" in cost_report(Cost(3.0, 21.0, 2.0, 9))
    assert "**missed**" in cost_report(Cost(3.0, 4.0, 3.0, 9))
