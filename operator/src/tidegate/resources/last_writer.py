"""Who wrote a route last, as it says itself. Pure."""

from collections.abc import Mapping
from typing import Any

from tidegate.model.traffic import Writer
from tidegate.resources.names import FIELD_MANAGER, WRITTEN_BY


def read_version(body: Mapping[str, Any]) -> tuple[str, Writer | None]:
    """The resourceVersion of a route, and the operator that wrote it."""
    metadata = body["metadata"]
    written_by = (metadata.get("annotations") or {}).get(WRITTEN_BY, "")
    return metadata.get("resourceVersion", ""), Writer.parse(written_by)


def read_editor(body: Mapping[str, Any]) -> str:
    """Who else wrote the spec last: a write of the operator's takes all of it back."""
    fields = body["metadata"].get("managedFields") or ()
    others = [each for each in fields if each.get("manager") != FIELD_MANAGER and "f:spec" in each.get("fieldsV1", {})]
    newest = max(others, key=lambda each: str(each.get("time", "")), default=None)
    return str(newest.get("manager", "")) if newest else ""


def read_last_manager(body: Mapping[str, Any]) -> str:
    """Who wrote the spec last, as the API server calls them; empty where it doesn't say, or it was the operator."""
    fields = body["metadata"].get("managedFields") or ()
    writers = [each for each in fields if "f:spec" in (each.get("fieldsV1") or {})]
    newest = max(writers, key=lambda each: (str(each.get("time", "")), each["manager"] == FIELD_MANAGER), default=None)
    manager = str(newest["manager"]) if newest else ""
    return "" if manager == FIELD_MANAGER else manager
