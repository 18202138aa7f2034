"""gs:// — Google Cloud Storage; GOOGLE_APPLICATION_CREDENTIALS, the node's identity, or nobody for public objects."""

import os
from collections.abc import Mapping
from typing import cast

# Read while the library is imported. With it, reading an object would take rights and a gRPC API of their own.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

import gcsfs

from tidegate_server.fetch.sources.listing import Listing
from tidegate_server.fetch.sources.object_storage import Bucket, list_objects, version_from


def find(uri: str, environ: Mapping[str, str]) -> Listing:
    """The objects below the path. Raises FetchFailed."""
    # An emulator knows no credentials, and asking the node for its identity would take long to fail.
    token = "anon" if environ.get("STORAGE_EMULATOR_HOST") else None
    return list_objects(uri, lambda: _connect(token), version_from("generation", "etag"))


def _connect(token: str | None) -> Bucket:
    session = {"trust_env": True}  # HTTPS_PROXY and NO_PROXY
    return cast(
        Bucket,
        gcsfs.GCSFileSystem(
            token=token, session_kwargs=session, skip_instance_cache=True, use_listings_cache=False, access="read_only"
        ),
    )
