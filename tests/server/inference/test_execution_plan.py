"""What is measured, and what is made of it."""

from collections.abc import Mapping

import pytest

from tidegate_server.inference.execution_plan import (
    ExecutionPlan,
    LayoutMeasurement,
    ThreadLayout,
    best_layout,
    candidate_layouts,
    choose_plan,
    inline_rows,
    most_padding,
    process_count,
)
from tidegate_server.protocol.padding import ANY_PADDING
from tidegate_server.protocol.signature import Signature, TensorSpec

TWO_RUNS, ONE_WIDE_RUN = ThreadLayout(1, 2), ThreadLayout(2, 1)


def measurement(
    seconds_by_rows: Mapping[int, float], layout: ThreadLayout = TWO_RUNS, rate: float = 1000
) -> LayoutMeasurement:
    return LayoutMeasurement(layout, seconds_by_rows, rate)


@pytest.mark.parametrize(
    ("seconds_by_rows", "has_fixed_cost", "plan"),
    [
        pytest.param(
            {1: 30e-6, 2: 32e-6, 4: 35e-6, 8: 45e-6, 16: 60e-6},
            True,
            ExecutionPlan(TWO_RUNS, 16, 0.0, True, 30e-6),
            id="a tiny model runs where it was read",
        ),
        pytest.param(
            {1: 30e-6, 16: 60e-6},
            False,
            ExecutionPlan(TWO_RUNS, 16, 7.5e-6, False, 30e-6),
            id="but not if an input's values can make it long",
        ),
        pytest.param(
            {1: 2e-3, 2: 2.6e-3, 4: 3.6e-3, 8: 5.6e-3, 16: 10.8e-3},
            True,
            ExecutionPlan(TWO_RUNS, 8, 0.5e-3, False, 2e-3),
            id="batches grow while it pays",
        ),
        pytest.param(
            {1: 20e-3, 2: 39e-3, 4: 77e-3},
            True,
            ExecutionPlan(TWO_RUNS, 1, 0.0, False, 20e-3),
            id="where nothing is gained, everyone runs alone",
        ),
        pytest.param(
            {1: 226e-6, 2: 374e-6, 4: 715e-6, 8: 1370e-6},
            False,
            ExecutionPlan(TWO_RUNS, 4, 56.5e-6, False, 226e-6),
            id="a batch is handed over once",
        ),
        pytest.param({1: 300e-6}, True, ExecutionPlan(TWO_RUNS, 1, 0.0, False, 300e-6), id="runs that can overlap do"),
    ],
)
def test_the_plan_follows_the_measurement(
    seconds_by_rows: Mapping[int, float], has_fixed_cost: bool, plan: ExecutionPlan
) -> None:
    assert choose_plan(measurement(seconds_by_rows), has_fixed_cost=has_fixed_cost) == plan


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        pytest.param((1000, 1100), 0, id="a little faster may be noise"),
        pytest.param((1000, 1300), 1, id="clearly faster wins"),
        pytest.param((1000, 500), 0, id="slower"),
    ],
)
def test_threads_are_split_between_runs_by_rows_a_second(rates: tuple[float, float], chosen: int) -> None:
    layouts = (measurement({1: 1e-3}, TWO_RUNS, rates[0]), measurement({1: 1e-3}, ONE_WIDE_RUN, rates[1]))
    assert best_layout(layouts) is layouts[chosen]


def test_one_cpu_leaves_no_choice() -> None:
    assert (candidate_layouts(1), candidate_layouts(2)) == ((ThreadLayout(1, 1),), (TWO_RUNS, ONE_WIDE_RUN))


def spec(*dimensions: int | str | None) -> TensorSpec:
    return TensorSpec("x", "FP32", dimensions)


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        pytest.param([spec("N", 4)], [spec("N", 3)], True, id="one name"),
        pytest.param([spec("N", 4), spec("N")], [spec("M")], True, id="outputs are named by no rule"),
        pytest.param([spec(None, 4)], [spec(None)], True, id="unnamed"),
        pytest.param([spec("N", 4), spec("M", 4)], [spec("N")], False, id="two names"),
        pytest.param([spec(1, 4)], [spec(1, 3)], False, id="a fixed first dimension"),
        pytest.param([spec("N", 4)], [spec(1)], False, id="an output that doesn't grow"),
        pytest.param([spec("N", 4)], [spec()], False, id="a scalar output"),
    ],
)
def test_only_a_variable_first_dimension_can_be_a_batch(
    inputs: list[TensorSpec], outputs: list[TensorSpec], expected: bool
) -> None:
    assert Signature(tuple(inputs), tuple(outputs)).is_batchable is expected


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        pytest.param([spec("N", 3, 8)], 24, id="fixed after the first"),
        pytest.param([spec("N", 3), spec("N")], 4, id="all inputs together"),
        pytest.param([spec("N", "length")], None, id="rows of any length"),
    ],
)
def test_the_size_of_a_row_is_known_only_if_the_graph_fixes_it(inputs: list[TensorSpec], expected: int | None) -> None:
    assert Signature(tuple(inputs), ()).elements_per_row == expected


@pytest.mark.parametrize(
    ("inline", "cpus", "model_bytes", "limit_bytes", "processes"),
    [
        pytest.param(True, 3, 20_000, None, 3, id="a tiny model gets every CPU"),
        pytest.param(True, 64, 20_000, None, 4, id="but not every CPU of a large node"),
        pytest.param(True, 4, 20_000, 600 * 2**20, 3, id="as many as fit into half of the memory"),
        pytest.param(True, 4, 20_000, 50 * 2**20, 1, id="one in any case"),
        pytest.param(True, 4, 2**27, None, 1, id="copies of a large model cost too much"),
        pytest.param(False, 4, 20_000, None, 1, id="threads do for a slow one"),
    ],
)
def test_processes_are_for_models_whose_time_is_pythons(
    inline: bool, cpus: int, model_bytes: int, limit_bytes: int | None, processes: int
) -> None:
    plan = ExecutionPlan(TWO_RUNS, 16, 0.0, inline, 1e-5)
    assert process_count(plan, cpus, model_bytes, 100 * 2**20, limit_bytes) == processes


def test_a_model_whose_texts_run_in_the_event_loop_gets_every_cpu_too() -> None:
    plan = ExecutionPlan(TWO_RUNS, 16, 0.0, inline=False, run_seconds=3e-5, inline_tokens=64)
    assert process_count(plan, 2, 300_000, 100 * 2**20, None) == 2


@pytest.mark.parametrize(
    ("seconds_by_rows", "rows"),
    [
        pytest.param({1: 20e-6, 2: 30e-6, 4: 60e-6}, 4, id="all that were measured"),
        pytest.param({1: 20e-6, 2: 30e-6, 4: 900e-6}, 2, id="those that are short"),
        pytest.param({1: 900e-6}, 0, id="none"),
        pytest.param({}, 0, id="nothing measured"),
    ],
)
def test_texts_run_in_the_event_loop_where_another_thread_would_bring_nothing(
    seconds_by_rows: Mapping[int, float], rows: int
) -> None:
    assert inline_rows(TWO_RUNS, seconds_by_rows) == rows


@pytest.mark.parametrize(
    ("seconds_by_rows", "tokens"),
    [
        pytest.param({1: 340e-6, 16: 340e-6 + 15 * 200e-6}, 10, id="as many as cost what a run and its thread do"),
        pytest.param({1: 20e-6, 16: 20e-6}, ANY_PADDING, id="any, where tokens cost nothing"),
        pytest.param({1: 20e-6}, ANY_PADDING, id="nothing to compare"),
        pytest.param({1: 1e-3, 8: 8e-3}, 0, id="hardly any, where a run costs nothing beside its tokens"),
    ],
)
def test_padding_is_worth_less_than_a_run(seconds_by_rows: Mapping[int, float], tokens: int) -> None:
    assert most_padding(10, seconds_by_rows) == tokens
