"""The audit log says which user asked for what, and when."""

import json

from benchmarks.scale.audit import Call, calls, counted

AT = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""


def line(verb: str, resource: str, *, user: str = "operator", stage: str = "", second: int = 0, sub: str = "") -> str:
    about = {"resource": resource, **({"subresource": sub} if sub else {})}
    return json.dumps(
        {
            "user": {"username": user},
            "verb": verb,
            "stage": stage or ("ResponseStarted" if verb == "watch" else "ResponseComplete"),
            "objectRef": about,
            "requestReceivedTimestamp": f"2026-01-01T00:00:{second:02d}.500000Z",
        }
    )


def test_calls_of_one_user_within_a_time_are_found() -> None:
    lines = [
        line("update", "leases", second=1),
        line("update", "leases", second=9),
        line("update", "leases", user="router", second=1),
        line("patch", "modeldeployments", sub="status", second=2),
        "half a li",
    ]
    assert calls(lines, "operator", AT, AT + 5) == [
        Call("operator", "update", "leases", AT + 1.5),
        Call("operator", "patch", "modeldeployments/status", AT + 2.5),
    ]


def test_a_watch_counts_once_and_apart() -> None:
    lines = [line("watch", "pods"), line("watch", "pods", stage="ResponseComplete"), line("list", "pods")]
    made = calls(lines, "operator", AT, AT + 5)
    assert [call.is_watch for call in made] == [True, False]
    assert counted(made) == {"list pods": 1}


def test_what_changes_something_is_a_write() -> None:
    made = calls([line(verb, "pods") for verb in ("get", "list", "watch", "create", "delete")], "operator", AT, AT + 5)
    assert [call.verb for call in made if call.is_write] == ["create", "delete"]
