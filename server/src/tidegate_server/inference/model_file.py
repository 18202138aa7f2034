"""What a model's file says of itself, read once: a large graph takes seconds to walk through."""

from dataclasses import dataclass
from pathlib import Path

from tidegate_server.inference.model_size import bytes_with
from tidegate_server.inference.onnx_graph import Operators, operators
from tidegate_server.inference.other_outputs import OtherOutput, other_outputs
from tidegate_server.onnx_file import check_file


@dataclass(frozen=True)
class ModelFile:
    """One that has passed check_file."""

    path: Path
    bytes: int
    """With the weights that it keeps in other files."""
    operators: Operators
    others: tuple[OtherOutput, ...]
    """Outputs that are no tensors."""


def read_model_file(path: Path) -> ModelFile:
    """Raises ModelRefused as check_file does."""
    weights = check_file(path)
    return ModelFile(path, bytes_with(path, weights), operators(path), other_outputs(path))
