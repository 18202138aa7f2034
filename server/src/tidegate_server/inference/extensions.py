"""Operators of onnxruntime-extensions, such as tokenizers and string functions inside a graph.

They come from the one library that is installed with the server. Neither a model nor a request can name another, and
the library's hook for operators written in Python stays off.
"""

from functools import cache
from pathlib import Path

from tidegate_server.errors import ModelRefused
from tidegate_server.inference.client_mistakes import SOUND_DECODER
from tidegate_server.inference.onnx_graph import Operators, read_graph

DOMAINS = frozenset({"ai.onnx.contrib", "com.microsoft.extensions"})
IMAGE_DECODER = "DecodeImage"


def uses_extensions(used: Operators) -> bool:
    """Whether a node of the graph, or of a graph inside it, is of that library."""
    return any(domain in DOMAINS for domain, _ in used)


def require_safe(used: Operators) -> None:
    """Raises ModelRefused for an operator that any client could end the server by."""
    if any(domain in DOMAINS and name == IMAGE_DECODER for domain, name in used):
        raise ModelRefused(
            "UnsupportedModel",
            f"the graph decodes images with {IMAGE_DECODER}, and the library that has it can end the whole server, "
            "whatever stands before it; take the operator out of the graph, and have clients send pixels",
        )


def sound_inputs(path: Path) -> frozenset[str]:
    """Inputs that a decoder of sounds takes just as the client sends them. The file has passed check_file."""
    graph = read_graph(path).graph
    decoders = [node for node in graph.nodes if node.domain in DOMAINS and node.operator == SOUND_DECODER]
    if any(node.inputs[0] not in graph.inputs for node in decoders):
        return frozenset()  # whose bytes a decoder failed on isn't told, so none is the client's for sure
    return frozenset(node.inputs[0] for node in decoders)


@cache
def extensions_library() -> str:
    """The path for SessionOptions.register_custom_ops_library. Ask only for a graph that needs it: it costs 0.3 s."""
    import onnxruntime_extensions  # type: ignore[import-untyped] # it has no annotations

    onnxruntime_extensions.enable_py_op(False)
    return str(onnxruntime_extensions.get_library_path())
