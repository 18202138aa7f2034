#!/usr/bin/env python3
"""Signs the published image by its digest with cosign: by COSIGN_KEY where there is one, else as this workflow.

SIGN=off leaves it out, and says so.
"""

import sys

from credentials import at_registry
from settings import Settings
from stage import call, kept, options, run


def sign(settings: Settings) -> str:
    """The stage."""
    image = kept("image", "package")
    if settings.get("SIGN", "cosign") == "off":
        return f"{image['pushed']} isn't signed: SIGN=off"
    key = options("--key", settings.get("COSIGN_KEY"))
    with at_registry(settings, image["place"].partition("/")[0]):
        call("cosign", "sign", "--yes", *key, image["pushed"])
    return f"{image['pushed']} is signed {'with ' + key[1] if key else 'as this workflow'}"


if __name__ == "__main__":
    sys.exit(run("sign", sign))
