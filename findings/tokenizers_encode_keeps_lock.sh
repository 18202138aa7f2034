#!/usr/bin/env bash
# Tokenizer.encode keeps Python's interpreter lock from its beginning to its end; encode_batch and encode_batch_fast let
# go of it, for one text too. So in a server with threads, or with an event loop and a thread for tokens, one long text
# holds up everything else for as long as it is cut into tokens if it is given to encode, and nothing if it is a batch of
# one. The answers are the same.
# Matters to whoever moves tokenizing into a thread to keep a server's other requests going: the thread isn't enough.
# Seen with tokenizers 0.23.3 (Python 3.11, x86-64), a text of 560,000 letters: of the time of encode another thread stood
# still for 94 % in one piece, of that of encode_batch and encode_batch_fast for at most 7 %.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check tokenizers==0.23.3
TOKENIZERS_PARALLELISM=false "$work/venv/bin/python" - <<'PY'
import sys
import threading
import time

from tokenizers import Tokenizer, models, pre_tokenizers

TEXT = "a few words of a long text, " * 20_000
sys.setswitchinterval(0.001)
tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz,")}, []))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()


def share_of_standstill(call):
    """The longest time that another thread stood still, as a share of the call's; and what the call gave."""
    ended, longest = threading.Event(), [0.0]

    def watch():
        last = time.perf_counter()
        while not ended.is_set():
            now = time.perf_counter()
            longest[0] = max(longest[0], now - last)
            last = now

    watcher = threading.Thread(target=watch)
    watcher.start()
    time.sleep(0.05)
    longest[0], began = 0.0, time.perf_counter()
    given = call()
    took = time.perf_counter() - began
    time.sleep(0.05)
    ended.set()
    watcher.join()
    return min(1.0, longest[0] / took), took, given


calls = {
    "encode": lambda: tokenizer.encode(TEXT).ids,
    "encode_batch": lambda: tokenizer.encode_batch([TEXT])[0].ids,
    "encode_batch_fast": lambda: tokenizer.encode_batch_fast([TEXT])[0].ids,
}
seen = {name: min((share_of_standstill(call) for _ in range(3)), key=lambda one: one[0]) for name, call in calls.items()}
for name, (share, took, ids) in seen.items():
    print(f"{name}: {took * 1000:.0f} ms for {len(ids)} tokens, another thread stood still for {share:.0%} of it")
assert seen["encode"][2] == seen["encode_batch"][2] == seen["encode_batch_fast"][2]
assert seen["encode"][0] > 0.8, seen["encode"][:2]
assert seen["encode_batch"][0] < 0.5, seen["encode_batch"][:2]
assert seen["encode_batch_fast"][0] < 0.5, seen["encode_batch_fast"][:2]
PY
echo "as described"
