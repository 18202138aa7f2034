"""What the load sends: held-out images in a drawn order, of which exactly a given share makes a model fail. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.releases.models import Answers, Model

CARDS = 6_000
"""A minute of 100 requests a second; then it begins again."""
SEED = 1797


@dataclass(frozen=True)
class Deck:
    """`cards[k]` is the held-out image that is sent as number k."""

    cards: tuple[int, ...]

    def images(self, held_out: Sequence[Sequence[float]]) -> list[Sequence[float]]:
        return [held_out[card] for card in self.cards]

    def answers(self, model: Model) -> Answers:
        """What the model gives for each card."""
        return tuple(model.answers[card] for card in self.cards)


def draw(model: Model, failing_share: float, cards: int = CARDS, seed: int = SEED) -> Deck:
    """A deck on which the model fails at exactly that share of the cards, in no order that could be foreseen."""
    fails = [image for image, answer in enumerate(model.answers) if answer is None]
    answered = [image for image, answer in enumerate(model.answers) if answer is not None]
    failing = round(cards * failing_share)
    random = Random(seed)
    drawn = [*random.choices(fails, k=failing), *random.choices(answered, k=cards - failing)]
    random.shuffle(drawn)
    return Deck(tuple(drawn))
