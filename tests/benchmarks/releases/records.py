"""Made-up records of requests."""

from tidegate_demo.records import Request

OLD, NEW = "digits-old", "digits-new"
ANSWERS = {OLD: (7, 7), NEW: (None, 7)}
"""The new model fails on image 0; neither fails on image 1."""


def good(at: float, revision: str = OLD, took: float = 0.01) -> Request:
    return Request(at, 1, 0.0, took, 200, revision, 7)


def bad(at: float, revision: str = NEW, took: float = 0.01) -> Request:
    return Request(at, 0, 0.0, took, 500, revision)
