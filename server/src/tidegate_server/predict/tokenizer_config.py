"""How long a text may be, as the files say that come along with a tokenizer. Pure."""

from collections.abc import Callable
from typing import Any

from tidegate_server.predict.labels import MAX_LENGTH

TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
SENTENCE_FILE = "sentence_bert_config.json"


def longest_text(read: Callable[[str], Any]) -> int | None:
    """In tokens; `read` gives the JSON of a file, None where there is none. None where nobody has set a bound.

    sentence-transformers goes by `max_seq_length`, transformers by `model_max_length`; neither looks at the length that
    tokenizer.json happened to be saved with.
    """
    return _length(read(SENTENCE_FILE), "max_seq_length") or _length(read(TOKENIZER_CONFIG_FILE), "model_max_length")


def _length(document: Any, field: str) -> int | None:
    """None also for the 10**30 that transformers writes where there is no bound."""
    value = document.get(field) if isinstance(document, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 1 <= value <= MAX_LENGTH else None
