"""Typical and bad values, and results that are kept from run to run."""

from dataclasses import replace
from pathlib import Path

from benchmarks.scale.figures import Spread, load_results, save_results, spread
from tests.benchmarks.scale.examples import THIS


def test_of_few_values_the_bad_one_is_the_worst() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 3.0, 3)
    assert spread([float(value) for value in range(1000)]) == Spread(500.0, 990.0, 1000)
    assert spread([]) is None


def test_results_are_read_back_as_they_were_saved(tmp_path: Path) -> None:
    found = [THIS, replace(THIS, code="abc1234", operator=None, trouble="not in time")]
    save_results(tmp_path / "results.json", found)
    assert list(load_results(tmp_path / "results.json").values()) == found


def test_results_that_make_no_sense_are_none(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('[{"code": 1}]')
    assert load_results(tmp_path / "results.json") == {}
