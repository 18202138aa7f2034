"""What makes a candidate unlike stable for stable's clients."""

import pytest

from tidegate.model.compatibility import incompatibility
from tidegate.model.revision import Labels, ModelFacts, Tensor

X, Y = Tensor("x", "FP32", (-1, 64)), Tensor("y", "INT64", (-1,))


def facts(inputs: tuple[Tensor, ...] = (X,), outputs: tuple[Tensor, ...] = (Y,)) -> ModelFacts:
    return ModelFacts("ab" * 32, inputs, outputs)


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        pytest.param(facts(), None, id="the same signature"),
        pytest.param(facts((Tensor("x", "FP32", (-1, -1)),)), None, id="an input that takes more shapes"),
        pytest.param(facts(outputs=(Y, Tensor("p", "FP32", (-1, 10)))), None, id="one more output"),
        pytest.param(facts(outputs=(Tensor("y", "INT64", (-1, 1)),)), None, id="an output of another shape"),
        pytest.param(
            facts((Tensor("x", "FP32", (1, 64)),)),
            "its input is x FP32[1,64], stable's is x FP32[-1,64]",
            id="an input that takes fewer shapes",
        ),
        pytest.param(
            facts((Tensor("x", "FP32", (-1, 8, 8)),)),
            "its input is x FP32[-1,8,8], stable's is x FP32[-1,64]",
            id="an input of another rank",
        ),
        pytest.param(
            facts((Tensor("x", "FP64", (-1, 64)),)),
            "its input is x FP64[-1,64], stable's is x FP32[-1,64]",
            id="an input of another type",
        ),
        pytest.param(
            facts((Tensor("text", "BYTES", (-1,)),)),
            "it takes the inputs text BYTES[-1], stable takes x FP32[-1,64]",
            id="another input",
        ),
        pytest.param(
            facts((X, Y)),
            "it takes the inputs x FP32[-1,64], y INT64[-1], stable takes x FP32[-1,64]",
            id="one more input",
        ),
        pytest.param(
            facts(outputs=()), "it gives the outputs none, stable gives y INT64[-1]", id="an output that is gone"
        ),
        pytest.param(
            facts(outputs=(Tensor("y", "FP32", (-1,)),)),
            "it gives the outputs y FP32[-1], stable gives y INT64[-1]",
            id="an output of another type",
        ),
    ],
)
def test_clients_of_stable_and(candidate: ModelFacts, expected: str | None) -> None:
    assert incompatibility(facts(), candidate) == expected


SCORES = Tensor("p", "FP32", (-1, 10))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        pytest.param((-1, 10), None, id="the same"),
        pytest.param((-1, -1), None, id="none that the exporter knew"),
        pytest.param((32, 10), None, id="a number of rows where stable has any"),
        pytest.param((-1,), None, id="another rank, as exporters differ"),
        pytest.param((-1, 11), "its output is p FP32[-1,11], stable's is p FP32[-1,10]", id="one class more"),
    ],
)
def test_an_output_of_size(shape: tuple[int, ...], expected: str | None) -> None:
    candidate = facts(outputs=(Tensor("p", "FP32", shape),))
    assert incompatibility(facts(outputs=(SCORES,)), candidate) == expected


CATS = ("cat", "dog", "owl")
MANY = [f"class {number}" for number in range(1000)]


def told(names: list[str]) -> Labels:
    """As a pod reports them: the first few, and a digest of all."""
    whole = Labels.of(names)
    return Labels(whole.count, whole.sha256, whole.first[:32])


@pytest.mark.parametrize(
    ("stable", "candidate", "expected"),
    [
        pytest.param(Labels.of(CATS), Labels.of(CATS), None, id="the same"),
        pytest.param(None, Labels.of(CATS), None, id="nobody knows stable's"),
        pytest.param(Labels.of(CATS), None, None, id="nobody knows the candidate's"),
        pytest.param(Labels.of(()), Labels.of(CATS), None, id="names where there were none"),
        pytest.param(
            Labels.of(CATS),
            Labels.of(()),
            "its classes have no labels, stable's are 'cat', 'dog', 'owl'",
            id="no names any more",
        ),
        pytest.param(
            Labels.of(CATS),
            Labels.of(("cat", "owl", "dog")),
            "its labels are in another order: class 1 is 'owl', on stable it is 'dog'",
            id="another order",
        ),
        pytest.param(
            Labels.of(CATS),
            Labels.of(("cat", "dog", "fox")),
            "its labels are others: class 2 is 'fox', on stable it is 'owl'",
            id="another name",
        ),
        pytest.param(
            Labels.of(CATS),
            Labels.of((*CATS, "fox")),
            "it has 4 labels that aren't stable's 3: 'fox' is new",
            id="one more",
        ),
        pytest.param(
            Labels.of(CATS), Labels.of(CATS[:2]), "it has 2 labels that aren't stable's 3: 'owl' is gone", id="one less"
        ),
        pytest.param(told(MANY), told(MANY), None, id="a thousand that are the same"),
        pytest.param(
            told(MANY),
            told([*MANY[:-1], "another"]),
            "it has 1,000 labels that aren't stable's 1,000: they differ after the first 32",
            id="the last of a thousand",
        ),
        pytest.param(
            told(MANY),
            told([MANY[1], MANY[0], *MANY[2:]]),
            "its labels are others: class 0 is 'class 1', on stable it is 'class 0'",
            id="the first two of a thousand change places",
        ),
        pytest.param(
            told(MANY[:32]),
            told(MANY),
            "it has 1,000 labels that aren't stable's 32: some are new",
            id="more than are told",
        ),
    ],
)
def test_labels(stable: Labels | None, candidate: Labels | None, expected: str | None) -> None:
    ours, theirs = (ModelFacts("ab" * 32, (X,), (Y,), labels=labels) for labels in (candidate, stable))
    assert incompatibility(theirs, ours) == expected
