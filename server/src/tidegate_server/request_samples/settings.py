"""Whether requests are kept, and by which key they are had, from TIDEGATE_REQUEST_SAMPLES* variables."""

from dataclasses import dataclass
from pathlib import Path

from tidegate_server.environment import Environ, text, whole
from tidegate_server.errors import BadSetting

KEEP, KEY_FILE = "TIDEGATE_REQUEST_SAMPLES", "TIDEGATE_REQUEST_SAMPLES_KEY_FILE"
MOST_KEPT = 5000


@dataclass(frozen=True)
class SampleSettings:
    """How many requests each process keeps at most."""

    keep: int
    key_file: Path
    """Whoever has what is in it may read the requests. It is read at each such call, so it may change and come late."""

    @classmethod
    def from_env(cls, environ: Environ) -> "SampleSettings | None":
        """None where none are kept. Raises BadSetting with a sentence that names the variable."""
        keep = whole(environ, KEEP, 0, least=0, most=MOST_KEPT)
        key_file = text(environ, KEY_FILE)
        if not keep:
            return None
        if not key_file:
            raise BadSetting(f"{KEEP} is set and {KEY_FILE} isn't: set it to a file with the key that reads them")
        return cls(keep, Path(key_file))
