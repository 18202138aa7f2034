#!/usr/bin/env python3
"""Serves what is in the image and asks it what callers will ask, right and wrong; looks at the image as it is built."""

import json
import sys
from pathlib import Path

from serving import served
from settings import WORK, Refused, Settings
from stage import kept, last_line, markdown_of, options, outcome, run, to_summary

REPORT = WORK / "verify.md"


def verify(settings: Settings) -> str:
    """The stage."""
    image = kept("image", "package")
    checked = ("--image", f"oci:{WORK / 'image.tar'}", "--digest", image["digest"])
    limits = ("--rate", settings.get("VERIFY_RATE", "20"), *options("--max-p99", settings.get("MAX_P99")))
    requests = ("--requests", str(settings.file("REQUESTS", "requests.jsonl")), "--model", "model")
    files = ("--junit", str(WORK / "verify.xml"), "--markdown", str(REPORT))
    with served(Path(image["folder"]), "model") as (url, grpc):
        ended = outcome(
            "tidegate", "verify", url, "--grpc", grpc, *checked, *limits, *requests, *files, "--output", "json"
        )
    to_summary(markdown_of(REPORT))
    if not ended.stdout:
        raise Refused(last_line(ended))
    checks = json.loads(ended.stdout)["checks"]
    failed = [each for each in checks if each["state"] == "failed"]
    if failed:
        rest = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise Refused(f"{failed[0]['check']}: {failed[0]['what']}{rest}; mend the model, or see {REPORT}")
    return f"{sum(each['state'] == 'ok' for each in checks)} checks are ok"


if __name__ == "__main__":
    sys.exit(run("verify", verify))
