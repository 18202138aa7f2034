"""Operators of onnxruntime-extensions, such as tokenizers and string functions inside a graph.

They come from the one library that is installed with the server. Neither a model nor a request can name another, and
the library's hook for operators written in Python stays off.
"""

from functools import cache

from tidegate_server.inference.onnx_graph import Operators

DOMAINS = frozenset({"ai.onnx.contrib", "com.microsoft.extensions"})


def uses_extensions(used: Operators) -> bool:
    """Whether a node of the graph, or of a graph inside it, is of that library."""
    return any(domain in DOMAINS for domain, _ in used)


@cache
def extensions_library() -> str:
    """The path for SessionOptions.register_custom_ops_library. Ask only for a graph that needs it: it costs 0.3 s."""
    import onnxruntime_extensions  # type: ignore[import-untyped] # it has no annotations

    onnxruntime_extensions.enable_py_op(False)
    return str(onnxruntime_extensions.get_library_path())
