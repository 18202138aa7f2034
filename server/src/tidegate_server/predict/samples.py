"""warmup.json: requests that the model answers once before it is ready. Pure."""

from typing import Any

from tidegate_server.predict.package_files import unusable

SAMPLES_FILE = "warmup.json"
MAX_SAMPLES_BYTES = 16 * 2**20
MAX_SAMPLES = 100


def parse_samples(document: Any) -> tuple[Any, ...]:
    """Bodies of /predict. Raises ModelRefused."""
    requests = document.get("requests") if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(requests, list) or not 1 <= len(requests) <= MAX_SAMPLES:
        sentence = f'it must be {{"requests": [...]}} with 1 to {MAX_SAMPLES} bodies of /predict'
        raise unusable(SAMPLES_FILE, sentence)
    return tuple(requests)
