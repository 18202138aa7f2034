#!/usr/bin/env python3
"""Sets the alias of STABLE_URI to the version that is live now, so that the next release is compared with it.

Where the cluster has another image by then, or that one isn't live, nothing is set.
"""

import base64
import json
import os
import sys
from collections.abc import Mapping
from urllib.error import HTTPError, URLError
from urllib.parse import unquote
from urllib.request import Request, urlopen

from cluster import require_live
from fetch import ALIAS
from settings import Refused, Settings
from stage import kept, run

ANSWER_SECONDS = 30


def record(settings: Settings) -> str:
    """The stage."""
    candidate, stable = kept("candidate", "fetch"), settings.get("STABLE_URI")
    asked = ALIAS.fullmatch(stable)
    if asked is None or candidate.get("name") != asked["name"]:
        return f"no alias is set: STABLE_URI is {stable or 'empty'}, and what was released is {candidate['uri']}"
    body = {"name": unquote(asked["name"]), "alias": asked["alias"], "version": candidate["version"]}
    try:
        require_live(settings, kept("applied", "apply"), kept("image", "package"))
    except Refused as why:
        raise Refused(f"{stable} isn't set to version {candidate['version']}: {why}") from why
    address = settings.needed("MLFLOW_TRACKING_URI", "https://mlflow.example.com").rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise Refused(f"MLFLOW_TRACKING_URI: {address!r} is no address, as https://mlflow.example.com is")
    headers = {"Content-Type": "application/json", **login(os.environ)}
    url = f"{address}/api/2.0/mlflow/registered-models/alias"
    try:
        request = Request(url, json.dumps(body).encode(), headers, method="POST")
        with urlopen(request, timeout=ANSWER_SECONDS):
            return f"{stable} is version {candidate['version']} now"
    except HTTPError as error:
        told = f"{error.code} {error.read()[:200].decode(errors='replace')}"
        error.close()
        raise Refused(f"{stable} isn't set to version {candidate['version']}: {told}; set it in MLflow") from error
    except (URLError, OSError) as error:
        raise Refused(f"{stable} isn't set to version {candidate['version']}: {error}; set it in MLflow") from error


def login(environ: Mapping[str, str]) -> Mapping[str, str]:
    """By the variables that MLflow's own client reads."""
    user, password = environ.get("MLFLOW_TRACKING_USERNAME"), environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user:
        return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
    token = environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


if __name__ == "__main__":
    sys.exit(run("record", record))
