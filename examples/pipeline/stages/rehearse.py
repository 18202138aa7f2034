#!/usr/bin/env python3
"""Releases the candidate beside stable on this machine, by the strategy and analysis of MODELDEPLOYMENT."""

import json
import sys

from settings import WORK, Refused, Settings
from stage import kept, last_line, markdown_of, options, outcome, run, to_summary

REPORT = WORK / "rehearsal.md"
UNDECIDED = 124


def rehearse(settings: Settings) -> str:
    """The stage. AGREEMENT is off, classes or values."""
    stable, candidate = kept("stable", "fetch"), kept("candidate", "fetch")
    if not stable:
        return "there is no stable model to rehearse beside; the cluster releases the first one as it is"
    command = ["tidegate", "rehearse", str(WORK / "stable"), str(WORK / "candidate")]
    command += ["-f", str(settings.file("MODELDEPLOYMENT", "modeldeployment.yaml"))]
    command += ["--requests", str(settings.file("REQUESTS", "requests.jsonl"))]
    command += ["--rate", settings.get("REHEARSE_RATE", "200"), "--timeout", settings.get("REHEARSE_TIMEOUT", "3m")]
    if (agreement := settings.get("AGREEMENT", "off")) != "off":
        command += ["--agreement", agreement]
        command += options("--tolerate", settings.get("AGREEMENT_TOLERATE"))
        command += options("--accept", settings.get("AGREEMENT_ACCEPT"))
    command += ["--junit", str(WORK / "rehearsal.xml"), "--markdown", str(REPORT), "--output", "json"]
    ended = outcome(*command)
    to_summary(markdown_of(REPORT))
    told = json.loads(ended.stdout) if ended.stdout.startswith("{") else {"message": last_line(ended)}
    if ended.returncode == UNDECIDED:
        raise Refused(f"{told['message']}; give it more requests or time (REHEARSE_RATE, REHEARSE_TIMEOUT)")
    if ended.returncode:
        raise Refused(f"{candidate['uri']} beside {stable['uri']}: {told['message']}")
    return str(told["message"])


if __name__ == "__main__":
    sys.exit(run("rehearse", rehearse))
