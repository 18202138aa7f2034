"""What the commands have in common that ask stable and a candidate, also in a Job that is a gate."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tidegate.cli.common.errors import Unusable
from tidegate.errors import TidegateError

STABLE, CANDIDATE, TOKEN = "TIDEGATE_STABLE_URL", "TIDEGATE_CANDIDATE_URL", "TIDEGATE_TOKEN"
"""What is set in a Job that is a gate, and may be set elsewhere."""
REVIEW = "TIDEGATE_REVIEW"
"""Is set there alone."""
TERMINATION_LOG = Path("/dev/termination-log")
MOST_CHARACTERS = 1000
FETCH_SECONDS = 30.0
MOST_BYTES = 256 * 2**20


def address_of(given: str | None, environ: Mapping[str, str], argument: str, variable: str) -> str:
    """As the command line has it, else the variable. Raises Unusable."""
    return checked_address(given or environ.get(variable, ""), f"{argument}, or the variable {variable},")


def checked_address(address: str, which: str) -> str:
    """Itself. Raises Unusable with a sentence that names it as `which`."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unusable(f"{which} is {address!r}, which is no address such as http://sentiment.shop:8080")
    return address


def text_at(given: str, option: str) -> str:
    """What is in a file, or at an address. Raises Unusable."""
    try:
        if given.startswith(("http://", "https://")):
            return _fetched(given, option)
        return Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:  # what requests raises is an OSError too
        raise Unusable(f"{option}: {given} can't be read: {error}") from error


def answered(run: Callable[[], int], environ: Mapping[str, str]) -> int:
    """The exit code. Raises Unusable for any error: its exit code isn't that of an answer, as a traceback's is."""
    try:
        return run()
    except TidegateError as error:
        leave_behind(str(error), environ)
        raise Unusable(str(error)) from error
    except Exception as error:  # noqa: BLE001 - whatever it is
        # What it says isn't repeated: it may have a part of a request.
        raise Unusable(f"it failed in a way that nobody foresaw ({type(error).__name__})") from None


def leave_behind(sentence: str, environ: Mapping[str, str], path: Path = TERMINATION_LOG) -> None:
    """In a Job that is a gate: where the operator finds it for the status, after the pod has ended."""
    if REVIEW in environ:
        with suppress(OSError):  # the log has it too
            path.write_text(sentence[:MOST_CHARACTERS], encoding="utf-8")


def _fetched(url: str, option: str) -> str:
    with requests.get(url, timeout=FETCH_SECONDS, stream=True) as response:
        response.raise_for_status()
        content = bytearray()
        for part in response.iter_content(2**16):
            content += part
            if len(content) > MOST_BYTES:
                raise Unusable(f"{option}: {url} has more than {MOST_BYTES // 2**20} MiB; cut it")
    return content.decode()
