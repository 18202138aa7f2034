"""What the load sends: held-out images in a drawn order, of which exactly a given share makes a model fail. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.releases.models import Answers, Model

COUNT = 6_000
"""A minute of 100 requests a second; then it begins again."""
SEED = 1797


@dataclass(frozen=True)
class Payloads:
    """`order[k]` is the held-out image that is sent as number k."""

    order: tuple[int, ...]

    def images(self, held_out: Sequence[Sequence[float]]) -> list[Sequence[float]]:
        """The images in the order in which they are sent."""
        return [held_out[image] for image in self.order]

    def answers(self, model: Model) -> Answers:
        """What the model gives for each that is sent."""
        return tuple(model.answers[image] for image in self.order)


def draw_payloads(model: Model, failing_share: float, count: int = COUNT, seed: int = SEED) -> Payloads:
    """Images of which the model fails on exactly that share, in no order that could be foreseen."""
    fails = [image for image, answer in enumerate(model.answers) if answer is None]
    answered = [image for image, answer in enumerate(model.answers) if answer is not None]
    failing = round(count * failing_share)
    random = Random(seed)
    drawn = [*random.choices(fails, k=failing), *random.choices(answered, k=count - failing)]
    random.shuffle(drawn)
    return Payloads(tuple(drawn))
