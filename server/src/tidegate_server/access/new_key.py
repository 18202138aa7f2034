"""The command that makes an API key: `tidegate-server new-key NAME`."""

import sys
from collections.abc import Sequence
from typing import TextIO

from tidegate_server.access.api_keys import new_key
from tidegate_server.errors import BadSetting


def main(names: Sequence[str], out: TextIO = sys.stdout, err: TextIO = sys.stderr) -> int:
    """Writes the line for TIDEGATE_API_KEYS_FILE to `out`, and the key itself, which is stored nowhere, to `err`."""
    if len(names) != 1:
        err.write("say whose key it is: tidegate-server new-key NAME\n")
        return 2
    try:
        made = new_key(names[0])
    except BadSetting as error:
        err.write(f"{error}\n")
        return 2
    out.write(f"{made.line}\n")
    err.write(f"the key of {names[0]}, shown this once: {made.key}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
