"""A gate that is asked by HTTP."""

from dataclasses import dataclass

from tidegate.errors import CallFailed
from tidegate.gates.review import Question, read_answer
from tidegate.model.gate import GateAnswer
from tidegate.webhooks.caller import Caller, known_by, next_try


@dataclass(frozen=True)
class WebhookGates:
    """Asks a gate's endpoint. An answer that can't be read is as good as none."""

    caller: Caller

    def known_by(self, namespace: str, question: Question) -> str:
        """Whom a question goes to."""
        return known_by(namespace, question.gate.endpoint)

    def ask(self, namespace: str, call_id: str, question: Question, tries: int) -> GateAnswer | float:
        """The answer, or after how many seconds to try for the next time. `tries` includes this one."""
        endpoint = question.gate.endpoint
        try:
            response = self.caller.call(namespace, endpoint, call_id, question.body)
            return read_answer(response.content_type, response.body)
        except CallFailed as error:
            pause = next_try(error, tries, endpoint)
            return GateAnswer(None, str(error)) if pause is None else pause

    def withdraw(self, namespace: str, call_id: str, question: Question) -> None:
        """There is nothing to take back."""
