"""Sentences and words that people have rated, out of the source archive of vaderSentiment 0.5.

The ratings go from -4 to 4, each the mean of ten to twenty people. Nothing of it is kept in this repository.
"""

import hashlib
import io
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

SHA256 = "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a"
_TABLES = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
_WORDS = "vaderSentiment-0.5/vaderSentiment/vader_sentiment_lexicon.txt"
SOURCES = ("movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets", "tweets")

CLEAR = 0.5  # people rated it so far from neutral that it has a side
HELD_OUT_OF = 7  # one sentence in so many is never trained on


@dataclass(frozen=True)
class Rated:
    text: str
    rating: float
    source: str

    @property
    def positive(self) -> bool:
        return self.rating > 0

    @property
    def held_out(self) -> bool:
        """By the text itself, so that a sentence that occurs twice isn't on both sides."""
        return hashlib.sha256(self.text.strip().lower().encode()).digest()[0] % HELD_OUT_OF == 0


def read_ratings(archive: Path) -> tuple[list[Rated], list[Rated]]:
    """Sentences and single words, those with a side. Exits with a sentence when the archive is another one."""
    content = archive.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise SystemExit(
            f"{archive} isn't the source archive of vaderSentiment 0.5; see README.md for where it comes from"
        )
    with zipfile.ZipFile(io.BytesIO(content)) as outer:
        words = [_word(line) for line in outer.read(_WORDS).decode("utf-8", "replace").splitlines() if line.strip()]
        with tarfile.open(fileobj=io.BytesIO(outer.read(_TABLES))) as inner:
            sentences = [rated for source in SOURCES for rated in _sentences(inner, source)]
    return [one for one in sentences if abs(one.rating) >= CLEAR], [one for one in words if abs(one.rating) >= CLEAR]


def _sentences(tables: tarfile.TarFile, source: str) -> list[Rated]:
    file = tables.extractfile(f"hutto_ICWSM_2014/{source}_GroundTruth.txt")
    if file is None:
        raise SystemExit(f"the archive has no sentences of {source}")
    rows = (line.split("\t", 2) for line in file.read().decode("utf-8", "replace").splitlines() if line.strip())
    return [Rated(text.strip(), float(rating), source) for _, rating, text in rows]


def _word(line: str) -> Rated:
    word, rating = line.split("\t")[:2]
    return Rated(word, float(rating), "words")
