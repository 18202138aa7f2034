"""When CRDs count as served."""

from subprocess import CompletedProcess

import pytest

from benchmarks import crds
from benchmarks.crds import until_established
from benchmarks.errors import BenchmarkError

SERVED = CompletedProcess([], 0, "", "")
NEW = CompletedProcess([], 1, "", "error: .status.conditions accessor error: <nil> is of the type <nil>")
AWAY = CompletedProcess([], 1, "", "error: no matching resources found")


class Kubectl:
    """Answers one after the other."""

    def __init__(self, *answers: "CompletedProcess[str]") -> None:
        self.answers, self.asked = list(answers), list[tuple[str, ...]]()

    def __call__(self, *arguments: str) -> "CompletedProcess[str]":
        self.asked.append(arguments)
        return self.answers.pop(0)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crds, "PAUSE", 0.0)


def test_one_that_is_so_new_that_it_has_no_condition_is_waited_for() -> None:
    kubectl = Kubectl(NEW, NEW, SERVED)
    until_established(kubectl, "crd/lamps.example.org")

    waited = ("wait", "--for=condition=Established", "crd/lamps.example.org", "--timeout=60s")
    assert kubectl.asked == [waited] * 3


def test_anything_else_is_told_at_once() -> None:
    with pytest.raises(BenchmarkError, match="the CRDs aren't served: error: no matching resources found"):
        until_established(Kubectl(AWAY))
