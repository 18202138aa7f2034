"""The simulated engine takes what waits as the real one does."""

from benchmarks.batching import Latencies, SimulatedModel, ratios, simulate

MODEL = SimulatedModel(per_run=4e-3, per_row=1e-3, slots=1)


def test_with_one_slot_nobody_waits_but_for_a_run() -> None:
    assert ratios(MODEL, 0.5) == (1.0, 1.0)


def test_a_request_to_an_idle_model_takes_a_run() -> None:
    lonely = simulate(MODEL, 1e-6, by_load=False, seed=1)
    assert {round(seconds, 6) for seconds in (lonely.median, lonely.p99)} == {0.005}


def test_the_same_seed_gives_the_same_figures() -> None:
    first, again = (simulate(MODEL, 0.9, by_load=True, seed=2) for _ in range(2))
    assert first == again
    assert isinstance(first, Latencies)
