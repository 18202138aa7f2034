"""Which path speaks which dialect. Pure."""

from collections.abc import Mapping

from tidegate_server.dialects.dialect import Dialect
from tidegate_server.dialects.hugging_face import HUGGING_FACE
from tidegate_server.dialects.kserve_v1 import KSERVE_V1
from tidegate_server.dialects.mlflow import MLFLOW
from tidegate_server.dialects.openai import OPENAI_EMBEDDINGS
from tidegate_server.dialects.seldon import SELDON

NAME = "<name>"
"""In a path: the model's name."""

DIALECTS: Mapping[str, Dialect] = {
    "/": HUGGING_FACE,
    "/v1/embeddings": OPENAI_EMBEDDINGS,
    f"/v1/models/{NAME}:predict": KSERVE_V1,
    "/invocations": MLFLOW,
    "/api/v0.1/predictions": SELDON,
    "/api/v1.0/predictions": SELDON,
}
"""By path, for POST."""


def dialects(vertex_route: str) -> dict[str, Dialect]:
    """By path. `vertex_route`: where Vertex AI sends its requests, empty elsewhere; it may be any path."""
    return {**DIALECTS, **({vertex_route: KSERVE_V1} if vertex_route else {})}
