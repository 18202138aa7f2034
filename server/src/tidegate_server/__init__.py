"""Serves one ONNX model over the Open Inference Protocol and a plain /predict."""

from importlib.metadata import version

__version__ = version("tidegate-server")
