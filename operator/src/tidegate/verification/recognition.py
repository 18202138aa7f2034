"""Whether what listens at an address is a server of the protocol at all."""

import http.client

from tidegate.verification.asking import NO_ANSWER, Answer, Endpoint
from tidegate.verification.row import Row, failed

CHECK = "protocol"
KNOWN_BY_REFUSAL = frozenset((http.client.UNAUTHORIZED, http.client.FORBIDDEN))
"""Whoever asks for credentials may well be the server; what it does with them has rows of its own."""


def not_recognised(endpoint: Endpoint, model: str) -> Row | None:
    """What it said instead; None where an answer is of the protocol.

    `model` is empty where the server has to say it.
    """
    seen = []
    for path in ("/v2/health/live", "/v2", *((f"/v2/models/{model}",) if model else ())):
        answer = endpoint.ask("GET", path)
        if _is_of_the_protocol(answer):
            return None
        seen.append(f"GET {path}: {answer.said}")
        if answer.status == NO_ANSWER:
            break
    return failed(CHECK, f"{'; '.join(seen)}; is {endpoint.address} the server's address?", answer.seconds)


def _is_of_the_protocol(answer: Answer) -> bool:
    is_page = answer.headers.get("content-type", "").startswith("text/html")
    return answer.status in KNOWN_BY_REFUSAL or (answer.status == http.client.OK and not is_page)
