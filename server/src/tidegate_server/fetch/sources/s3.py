"""s3:// — Amazon's S3 and what speaks its language; keys, region and AWS_ENDPOINT_URL as the AWS SDK knows them."""

from collections.abc import Mapping
from typing import cast

import s3fs

from tidegate_server.fetch.sources.listing import Listing
from tidegate_server.fetch.sources.object_storage import (
    CONNECT_SECONDS,
    SILENCE_SECONDS,
    Bucket,
    list_objects,
    version_from,
)


def find(uri: str, _environ: Mapping[str, str]) -> Listing:
    """The objects below the path. Raises FetchFailed."""
    return list_objects(uri, _connect, version_from("ETag"))


def _connect() -> Bucket:
    # What is tried again, and for how long, fetch itself decides; the libraries' attempts would multiply.
    retries = {"mode": "standard", "total_max_attempts": 1}
    config = {"connect_timeout": CONNECT_SECONDS, "read_timeout": SILENCE_SECONDS, "retries": retries}
    system = s3fs.S3FileSystem(config_kwargs=config, skip_instance_cache=True, use_listings_cache=False)
    system.retries = 1
    return cast(Bucket, system)
