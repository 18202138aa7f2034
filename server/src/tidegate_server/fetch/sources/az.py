"""az://CONTAINER/path — Azure Blob Storage; the account and its key, SAS or identity from AZURE_STORAGE_* variables."""

from collections.abc import Mapping
from typing import Any, cast

import adlfs

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import UNSUPPORTED_URI
from tidegate_server.fetch.sources.objects import Bucket, list_objects
from tidegate_server.fetch.sources.stream import Listing


def find(uri: str, environ: Mapping[str, str]) -> Listing:
    if not environ.get("AZURE_STORAGE_CONNECTION_STRING") and not environ.get("AZURE_STORAGE_ACCOUNT_NAME"):
        raise FetchFailed(
            UNSUPPORTED_URI,
            "az:// needs AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_ACCOUNT_NAME; set one of them",
        )
    return list_objects(uri, _connect, _version)


def _connect() -> Bucket:
    # It reads AZURE_STORAGE_* itself.
    return cast(Bucket, adlfs.AzureBlobFileSystem(skip_instance_cache=True, use_listings_cache=False))


def _version(found: Mapping[str, Any]) -> str | None:
    tag = found.get("etag")
    return str(tag) if tag else None
