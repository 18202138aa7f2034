"""A gate that is a tag of the model's version in its registry: approved there is approved here."""

from dataclasses import dataclass
from datetime import timedelta

from tidegate.errors import CallFailed
from tidegate.gates.review import Question
from tidegate.model.gate import GateAnswer, RegistryTag
from tidegate.registries.reference import MODELS, Access, RegisteredModel
from tidegate.registries.resolver import Registries
from tidegate.webhooks.caller import next_try

LOOK_AGAIN = timedelta(seconds=30)
"""After a version that isn't approved: people are slow, and are waited for."""


@dataclass(frozen=True)
class RegistryGates:
    """Reads tags, with the credentials that the model is fetched with."""

    registries: Registries

    def known_by(self, namespace: str, question: Question) -> str:
        """One namespace's models wait for one another."""
        return f"registries of {namespace}"

    def ask(self, namespace: str, call_id: str, question: Question, tries: int) -> GateAnswer | float:
        """The answer, or after how many seconds to try for the next time. `tries` includes this one."""
        model, wanted = question.model, question.gate.registry
        if model is None or wanted is None or not model.uri.startswith(MODELS):
            return GateAnswer(None, "only a model with a models:/ URI has tags in a registry")
        try:
            registered = RegisteredModel.parse(model.uri)
            version, tags = self.registries.mlflow(namespace, Access.of(model)).tags(registered)
        except CallFailed as error:
            pause = next_try(error, tries, question.gate.endpoint)
            return GateAnswer(None, str(error)) if pause is None else pause
        return _answer(f"version {version} of {registered.name}", tags.get(wanted.tag), wanted)

    def withdraw(self, namespace: str, call_id: str, question: Question) -> None:
        """There is nothing to take back."""


def _answer(what: str, found: str | None, wanted: RegistryTag) -> GateAnswer:
    if found == wanted.value:
        return GateAnswer(True, f"{what} has the tag {wanted.tag}={wanted.value}")
    has = f"has the tag {wanted.tag}={found[:64]}" if found is not None else f"has no tag {wanted.tag}"
    return GateAnswer(False, f"{what} {has}; it is approved in the registry by {wanted.tag}={wanted.value}", LOOK_AGAIN)
