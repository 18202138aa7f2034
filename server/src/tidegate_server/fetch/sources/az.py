"""az://CONTAINER/path — Azure Blob Storage; the account and its key, SAS or identity from AZURE_STORAGE_* variables."""

from collections.abc import Mapping
from typing import cast

import adlfs

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import UNSUPPORTED_URI
from tidegate_server.fetch.sources.listing import Listing
from tidegate_server.fetch.sources.object_storage import Bucket, list_objects, version_from


def find(uri: str, environ: Mapping[str, str]) -> Listing:
    """The blobs below the path. Raises FetchFailed."""
    if not environ.get("AZURE_STORAGE_CONNECTION_STRING") and not environ.get("AZURE_STORAGE_ACCOUNT_NAME"):
        sentence = "az:// needs AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_ACCOUNT_NAME; set one of them"
        raise FetchFailed(UNSUPPORTED_URI, sentence)
    return list_objects(uri, _connect, version_from("etag"))


def _connect() -> Bucket:
    # It reads AZURE_STORAGE_* itself.
    return cast(Bucket, adlfs.AzureBlobFileSystem(skip_instance_cache=True, use_listings_cache=False))
