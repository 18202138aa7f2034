"""Which URIs name a version that somebody waits for."""

import pytest

from tidegate.view.rollout_view import means

DIGEST = "sha256:" + "ab" * 32
COMMIT = "c0ffee" * 6 + "c0ff"


@pytest.mark.parametrize(
    ("uri", "version", "expected"),
    [
        pytest.param("models:/sentiment/8", "8", True, id="a version"),
        pytest.param("models:/sentiment/18", "8", False, id="another version that ends alike"),
        pytest.param(f"oci://r.example.com/shop/m@{DIGEST}", DIGEST, True, id="a digest"),
        pytest.param(f"oci://r.example.com/shop/m@{DIGEST}/models/onnx", DIGEST, True, id="a digest, a folder in it"),
        pytest.param(f"hf://shop/m@{COMMIT}/onnx/model.onnx", COMMIT, True, id="a commit, a file in it"),
        pytest.param("oci://r.example.com/shop/m:7", "7", True, id="a tag"),
        pytest.param("oci://r.example.com/shop/m:1.7", "7", False, id="another tag that ends alike"),
        pytest.param(f"oci://r.example.com/shop/m@{DIGEST}/8", "7", False, id="none of it"),
        pytest.param("", "7", False, id="nothing is meant yet"),
    ],
)
def test_what_a_uri_names(uri: str, version: str, *, expected: bool) -> None:
    assert means(uri, version) is expected
