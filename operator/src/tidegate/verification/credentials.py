"""Whether a server asks for the credentials that it is said to ask for."""

import http.client
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tidegate.verification.asking import Answer, Endpoint
from tidegate.verification.row import Row, failed, lacks, not_asked, ok

REFUSALS = (http.client.UNAUTHORIZED, http.client.FORBIDDEN)
WRONG = "not-the-key-of-anybody"


@dataclass(frozen=True)
class Credentials:
    """A key in the header that it goes into; `Authorization` has `Bearer` before it."""

    key: str
    header: str = "Authorization"

    def headers(self) -> Mapping[str, str]:
        """Of a request."""
        return {self.header: f"Bearer {self.key}" if self.header.lower() == "authorization" else self.key}


def credentials(endpoint: Endpoint, given: Credentials | None, path: str) -> Iterator[Row]:
    """`endpoint` sends none. `path` is one that needs them."""
    nobody = endpoint.ask("GET", path)
    if given is None:
        yield _without(nobody)
        return
    yield _refused("no credentials", nobody)
    wrong = replace(endpoint, headers={**endpoint.headers, **replace(given, key=WRONG).headers()})
    yield _refused("wrong credentials", wrong.ask("GET", path))
    right = replace(endpoint, headers={**endpoint.headers, **given.headers()}).ask("GET", path)
    let_in = right.status not in REFUSALS
    yield (ok if let_in else failed)("right credentials", f"{right.status}" if let_in else right.said, right.seconds)
    probe = endpoint.ask("GET", "/v2/health/ready")
    what = f"GET /v2/health/ready: {probe.said}"
    yield (ok if probe.status == http.client.OK else lacks)("health asks for none", what, probe.seconds)


def _without(answer: Answer) -> Row:
    if answer.status in REFUSALS:
        return failed("credentials", f"it asks for some: {answer.said}; give them by --key-file FILE", answer.seconds)
    return not_asked("credentials", "it answers without, and none were given by --key-file FILE")


def _refused(check: str, answer: Answer) -> Row:
    if answer.status not in REFUSALS:
        return failed(check, f"GET is answered with {answer.said}", answer.seconds)
    if answer.status == http.client.UNAUTHORIZED and "www-authenticate" not in answer.headers:
        return lacks(check, f"{answer.said}, without WWW-Authenticate", answer.seconds)
    return ok(check, answer.said, answer.seconds)
