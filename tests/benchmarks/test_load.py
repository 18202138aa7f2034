"""The table of busy deployments says of how many rollouts each figure is."""

from collections import Counter

from benchmarks.load.__main__ import Cell, Figures, report


def test_each_figure_tells_its_number_of_rollouts() -> None:
    told = report(
        [
            Figures(Cell(90, 3, 1.0), 1000, Counter({"Promoted": 996, "RolledBack": 4}), Counter()),
            Figures(Cell(30, 30, 1.0), 60, Counter({"Promoted": 60}), Counter()),
            Figures(Cell(90, 3, 1.5), 20, Counter({"RolledBack": 20}), Counter()),
        ],
        seed=7,
    )

    assert told.splitlines()[0].startswith("Seed 7; each cell with its number of rollouts")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in told.splitlines() if line.startswith("|")]
    assert ["3", *"––––––", "0.4 % of 1,000"] in rows
    assert ["30", "0.0 % of 60", *"––––––"] in rows
    assert ["3", *"––––––", "100.0 % of 20"] in rows
    assert told.endswith(": met, as far as fewer than 300 rollouts can show it in 1 of them.\n")
