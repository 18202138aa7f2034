#!/usr/bin/env python3
"""Signs the published image by its digest with cosign: by COSIGN_KEY where there is one, else as this workflow.

By a key it goes into no transparency log, unless SIGN_LOG=on. SIGN=off leaves signing out, and says so.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from apply import read, signers
from credentials import at_registry
from settings import Refused, Settings
from stage import call, kept, options, run


def sign(settings: Settings) -> str:
    """The stage. Raises Refused where the cluster would take no image that this doesn't sign."""
    image, key = kept("image", "package"), settings.get("COSIGN_KEY")
    is_off = settings.get("SIGN", "cosign") == "off"
    if (is_off or not key) and signers(read(settings.file("MODELDEPLOYMENT", "modeldeployment.yaml"))):
        made = "SIGN=off leaves it out" if is_off else "a workflow's has none"
        raise Refused(f"spec.model.signedBy wants a signature by a key, and {made}; set COSIGN_KEY")
    if is_off:
        return f"{image['pushed']} isn't signed: SIGN=off"
    if not key:
        with at_registry(settings, _host(image["place"])):
            call("cosign", "sign", "--yes", image["pushed"])
        return f"{image['pushed']} is signed as this workflow"
    is_logged = settings.get("SIGN_LOG", "off") == "on"
    with at_registry(settings, _host(image["place"])), _services(is_logged=is_logged) as services:
        call("cosign", "sign", "--yes", "--key", key, *services, image["pushed"])
    return f"{image['pushed']} is signed with {key}{'' if is_logged else ', in no transparency log'}"


def _host(place: str) -> str:
    return place.partition("/")[0]


@contextmanager
def _services(*, is_logged: bool) -> Iterator[Sequence[str]]:
    """What has cosign ask no service: its configuration without one, and nobody to trust (cosign 3)."""
    if is_logged:
        yield ()
        return
    with tempfile.TemporaryDirectory() as folder:
        config, roots = Path(folder) / "signing-config.json", Path(folder) / "trusted-root.json"
        call("cosign", "signing-config", "create", "--out", str(config))
        call("cosign", "trusted-root", "create", "--out", str(roots))
        yield (*options("--signing-config", str(config)), *options("--trusted-root", str(roots)))


if __name__ == "__main__":
    sys.exit(run("sign", sign))
