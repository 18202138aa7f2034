#!/usr/bin/env python3
"""Waits until the cluster has promoted the candidate or undone it, and writes the verdict down."""

import sys

from cluster import place
from credentials import at_cluster
from settings import Refused, Settings
from stage import kept, last_line, outcome, run, to_summary

UNDECIDED = 124


def wait(settings: Settings) -> str:
    """The stage. WAIT is how long, such as 2h; a rollout goes on whether or not anybody waits."""
    applied, limit = kept("applied", "apply"), settings.get("WAIT", "1h")
    status = ("tidegate", "status", *place(settings, applied))
    with at_cluster(settings):
        ended = outcome(*status, "--wait", "--timeout", limit)
        shown = outcome(*status)
    to_summary(f"```\n{shown.stdout}```\n")
    told = ended.stdout.strip().splitlines()
    sentence = told[-1] if told else last_line(ended)
    if ended.returncode == UNDECIDED:
        raise Refused(f"{sentence} (after {limit}; it goes on: tidegate status {applied['name']} --wait)")
    if ended.returncode:
        raise Refused(f"{sentence}; stable goes on")
    return sentence


if __name__ == "__main__":
    sys.exit(run("wait", wait))
