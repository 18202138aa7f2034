#!/usr/bin/env bash
# mypyc keeps the variables of a function that nested functions use in one object, for all of them. A nested function
# that another one calls is such a variable itself: it holds the object, and the object holds it. So whatever they close
# over stays until the garbage collector runs, where plain Python frees it with the last reference; with the collector
# off or frozen it stays for good. One nested function alone doesn't, and the same code uncompiled doesn't.
# Matters to servers that are compiled for speed and hand callbacks around: every request's body waits for the collector.
# Methods with functools.partial in their place hold nothing.
# Seen with mypy 2.4.0, Python 3.11: plain (False, False), compiled (False, True).
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check mypy==2.4.0 setuptools==80.9.0
mkdir plain compiled
cat > plain/held.py <<'PY'
from typing import Callable


def alone(thing: object) -> Callable[[], int]:
    def only() -> int:
        return id(thing)

    return only


def siblings(thing: object) -> Callable[[], int]:
    def first() -> int:
        return id(thing)

    def second() -> int:
        return first()

    return second
PY
cp plain/held.py compiled
(cd compiled && "$work/venv/bin/mypyc" held.py > build.log 2>&1) || { cat compiled/build.log; exit 1; }
cat > look.py <<'PY'
import gc
import sys
import weakref

sys.path.insert(0, sys.argv[1])
import held  # noqa: E402


class Thing:
    """Something that can be watched."""


def stays(make):
    """Whether it is there still when nothing refers to what closes over it; the collector takes it in any case."""
    thing = Thing()
    seen = weakref.ref(thing)
    function = make(thing)
    function()
    del function, thing
    is_there = seen() is not None
    gc.collect()
    assert seen() is None
    return is_there


gc.disable()
found = (stays(held.alone), stays(held.siblings))
print(f"{sys.argv[1]:<10}alone: {found[0]}, siblings: {found[1]}")
assert held.__file__.endswith(".py") == (sys.argv[1] == "plain")
assert found == ((False, False) if sys.argv[1] == "plain" else (False, True)), found
PY
"$work/venv/bin/python" look.py plain
"$work/venv/bin/python" look.py compiled
