"""What of a spec is judged by where not all of it can be read."""

from tidegate.controller.specs import readable_part

MODEL = {"model": {"uri": "https://models/1.onnx"}}
COMPARED = {
    "analysis": {"agreement": {}, "bake": "2m"},
    "server": {"requestSamples": {"keySecret": "samples"}},
}


def test_a_part_that_needs_another_one_is_kept_beside_it() -> None:
    assert readable_part({**COMPARED, **MODEL, "replicas": 2, "progressDeadline": "soon"}) == {
        **COMPARED,
        **MODEL,
        "replicas": 2,
    }


def test_of_two_parts_that_contradict_each_other_one_is_kept() -> None:
    gates = [{"name": "agreement", "at": "Start", "url": "https://tests.example.com"}]
    assert readable_part({**COMPARED, **MODEL, "gates": gates}) == {**COMPARED, **MODEL}
