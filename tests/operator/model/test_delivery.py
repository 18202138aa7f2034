"""Which image has a model, where it is mounted, and which URIs can't be."""

from typing import Any

import pytest

from tidegate.errors import InvalidSpec
from tidegate.model.delivery import Delivery, MountedImage, parse_delivery

DIGEST = f"sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        pytest.param(f"oci://r.example/a@{DIGEST}", (f"r.example/a@{DIGEST}", "/models"), id="by itself: /models"),
        pytest.param(f"oci://r:5000/a/b@{DIGEST}/", (f"r:5000/a/b@{DIGEST}", "/models"), id="a slash: the same"),
        pytest.param(f"oci://r/a@{DIGEST}/srv/7/", (f"r/a@{DIGEST}", "/srv/7"), id="a folder"),
        pytest.param(f"oci://r/a@{DIGEST}/srv/m.onnx", (f"r/a@{DIGEST}", "/srv/m.onnx"), id="a file"),
    ],
)
def test_an_image_that_is_mounted(uri: str, expected: tuple[str, str]) -> None:
    assert MountedImage.parse(uri) == MountedImage(*expected)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"uri": "http://models/1"}, Delivery.FETCH),
        ({"uri": "oci://r/a:1", "delivery": "Fetch"}, Delivery.FETCH),
        ({"uri": f"oci://r/a@{DIGEST}", "delivery": "ImageVolume"}, Delivery.IMAGE_VOLUME),
        ({"uri": "oci://r/a:1/srv", "delivery": "ImageVolume", "follow": {"every": "1m"}}, Delivery.IMAGE_VOLUME),
    ],
)
def test_how_a_model_is_delivered(model: dict[str, Any], expected: Delivery) -> None:
    assert parse_delivery(model) is expected


@pytest.mark.parametrize(
    "model",
    [
        pytest.param({"uri": "oci://r/a:1"}, id="a tag"),
        pytest.param({"uri": "hf://owner/a", "follow": {"every": "1m"}}, id="a branch that is followed"),
        pytest.param({"uri": "https://models/1.onnx"}, id="no image"),
        pytest.param({"uri": f"oci://r/a@{DIGEST[:-1]}"}, id="a digest that is too short"),
        pytest.param({"uri": f"oci://me:pw@r/a@{DIGEST}"}, id="a login"),
        pytest.param({"uri": f"oci://r/a@{DIGEST}/../etc"}, id="a path that leads out"),
        pytest.param({"uri": "oci://r/a:1/../etc", "follow": {"every": "1m"}}, id="one of a tag that is followed"),
    ],
)
def test_what_cannot_be_mounted_is_refused_in_one_sentence(model: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.model\.delivery ImageVolume needs a spec\.model\.uri with a digest"):
        parse_delivery({**model, "delivery": "ImageVolume"})


def test_a_signature_that_nobody_would_look_at_is_refused() -> None:
    model = {"uri": f"oci://r/a@{DIGEST}", "signedBy": {"secret": "signers"}}

    assert parse_delivery(model) is Delivery.FETCH
    with pytest.raises(InvalidSpec, match=r"spec\.model\.signedBy can't be set beside"):
        parse_delivery({**model, "delivery": "ImageVolume"})
