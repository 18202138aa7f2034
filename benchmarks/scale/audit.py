"""Who asked the API server for what, from its audit log. Pure."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

READS = frozenset({"get", "list", "watch"})


@dataclass(frozen=True)
class Call:
    """One request that has been answered, or a watch that was begun."""

    user: str
    verb: str
    kind: str
    """The plural of what it was about, with its subresource."""
    at: float
    """Seconds since 1970."""

    @property
    def is_watch(self) -> bool:
        return self.verb == "watch"

    @property
    def is_write(self) -> bool:
        return self.verb not in READS


def calls(lines: Iterable[str], user: str, since: float, until: float) -> list[Call]:
    """One user's, within a span of time. Half a line at the end, and what isn't about an object, is left out."""
    found = (_call(line) for line in lines if f'"{user}"' in line)
    return [call for call in found if call and call.user == user and since <= call.at < until]


def counted(made: Iterable[Call]) -> dict[str, int]:
    """How many of each verb and kind, watches apart; the most frequent first."""
    return dict(Counter(f"{call.verb} {call.kind}" for call in made if not call.is_watch).most_common())


def _call(line: str) -> Call | None:
    try:
        event = json.loads(line)
        about = event["objectRef"]
        verb, stage = event["verb"], event["stage"]
        if stage != ("ResponseStarted" if verb == "watch" else "ResponseComplete"):
            return None
        kind = "/".join(filter(None, (about["resource"], about.get("subresource"))))
        at = datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()
        return Call(event["user"]["username"], verb, kind, at)
    except (ValueError, KeyError):
        return None
