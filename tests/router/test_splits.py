"""Weights while Envoy's routes change from one set of revisions to another."""

import pytest

from tidegate.resources.model_route import Backend, Route
from tidegate.router.routes import shape_of
from tidegate.router.splits import Weights, blended


def a_route(*shares: tuple[str, int]) -> Route:
    return Route("shop", "m", "", 60, tuple(Backend(*share) for share in shares))


def named(weights: Weights) -> dict[str, int]:
    return {name.rpartition("/")[2]: weight for name, weight in weights.items()}


@pytest.mark.parametrize(
    ("wanted", "shapes", "told", "expected"),
    [
        pytest.param((("a", 90), ("b", 10)), "", {}, {"a": 90, "b": 10}, id="a new model"),
        pytest.param((("a", 50), ("b", 50)), "ab", {"a": 90, "b": 10}, {"a": 50, "b": 50}, id="a shift"),
        pytest.param((("a", 90), ("b", 10)), "a", {"a": 100}, {"a": 90, "b": 10}, id="one comes: it is ready"),
        pytest.param((("b", 100),), "ab", {"a": 90, "b": 10}, {"a": 0, "b": 100}, id="one goes: it gets nothing"),
        pytest.param((("b", 100),), "a", {"a": 100}, {"a": 100, "b": 100}, id="another alone: the old one goes on"),
        pytest.param(
            (("b", 0), ("c", 100)),
            "ab",
            {"a": 0, "b": 100},
            {"a": 0, "b": 100, "c": 100},
            id="who loses all to one that isn't there goes on",
        ),
        pytest.param(None, "ab", {"a": 30, "b": 70}, {"a": 30, "b": 70}, id="it is deleted: it goes on till then"),
        pytest.param(None, "", {"a": 30}, {}, id="it is gone"),
        pytest.param(
            (("a", 100), ("b", 0)),
            "ab b",
            {"a": 0, "b": 100},
            {"a": 100, "b": 100},
            id="who is wanted again while routes without it are under way",
        ),
    ],
)
def test_somebody_is_drawn_before_and_after(
    wanted: tuple[tuple[str, int], ...] | None, shapes: str, told: dict[str, int], expected: dict[str, int]
) -> None:
    route = a_route(*wanted) if wanted else None
    there = [shape_of(a_route(*((name, 1) for name in shape))) for shape in shapes.split()]
    before = {f"shop/m/{name}": weight for name, weight in told.items()}

    assert named(blended(route, there, before)) == expected
