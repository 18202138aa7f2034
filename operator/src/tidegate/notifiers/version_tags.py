"""What became of a model's version, as tags of that version in its registry."""

from collections.abc import Mapping

from tidegate.errors import CallFailed
from tidegate.model.notification import Notice
from tidegate.model.spec import Model
from tidegate.model.units import format_instant
from tidegate.notifiers.message import About
from tidegate.registries.reference import MODELS, Access, RegisteredModel
from tidegate.registries.resolver import Registries

PREFIX = "tidegate."
LONGEST_VALUE = 500


def tags_of(about: About, notice: Notice) -> Mapping[str, str]:
    """The outcome comes last: whoever sees that sees the rest too."""
    tags = {
        "deployment": f"{about.namespace}/{about.name}",
        "revision": notice.candidate,
        "reason": notice.reason,
        "message": notice.message[:LONGEST_VALUE],
        "time": format_instant(notice.at),
        "outcome": notice.happening,
    }
    return {f"{PREFIX}{key}": value for key, value in tags.items()}


def tag_version(registries: Registries, about: About, notice: Notice, model: Model | None) -> None:
    """Sets them; setting them again does no harm. Raises CallFailed."""
    if not notice.candidate:
        return
    if model is None:
        raise CallFailed(f"the snapshot of {notice.candidate} is gone, so its version isn't known", final=True)
    if not model.uri.startswith(MODELS):
        raise CallFailed("only a model with a models:/ URI has tags in a registry", final=True)
    registered = RegisteredModel.parse(model.uri)
    if not registered.version:
        message = "an alias may mean another version by now: have it followed by spec.model.follow, or name the version"
        raise CallFailed(message, final=True)
    registry = registries.mlflow(about.namespace, Access.of(model))
    for key, value in tags_of(about, notice).items():
        registry.set_tag(registered, key, value)
