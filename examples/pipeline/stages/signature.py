#!/usr/bin/env python3
"""Whether who asks stable today can go on with the candidate: inputs, outputs, the classes' names in their order."""

import sys
from collections.abc import Mapping
from typing import Any

from tidegate.model.compatibility import incompatibility
from tidegate.model.revision import Labels, ModelFacts, Tensor

from settings import Refused, Settings
from stage import kept, run


def signature(settings: Settings) -> str:
    """The stage. What is meant to be another is a release of another name, or SIGNATURE=Allow."""
    stable, candidate = kept("stable", "fetch"), kept("candidate", "fetch")
    if not stable:
        return "there is no stable model whose clients could break"
    broken = incompatibility(facts(stable), facts(candidate))
    if broken is None:
        return f"clients of {stable['uri']} can go on with {candidate['uri']}"
    if settings.get("SIGNATURE") == "Allow":
        return f"clients of {stable['uri']} would break, which SIGNATURE=Allow takes: {broken}"
    raise Refused(
        f"clients of {stable['uri']} would break: {broken}; release it under another name, "
        "or set SIGNATURE=Allow once they are ready"
    )


def facts(report: Mapping[str, Any]) -> ModelFacts:
    """From what `tidegate-server fetch` reports."""
    inputs, outputs = (
        tuple(Tensor(each["name"], each["datatype"], tuple(each["shape"])) for each in report[side])
        for side in ("inputs", "outputs")
    )
    named = report.get("labels")
    labels = Labels(named["count"], named.get("sha256", ""), tuple(named.get("first", ()))) if named else None
    return ModelFacts(report["sha256"], inputs, outputs, report.get("files_sha256"), labels)


if __name__ == "__main__":
    sys.exit(run("signature", signature))
