"""Whether the routers' Service answers from here: names, addresses and policies of the network are in it."""

import requests

from tidegate.cli.check.finding import Finding, State

CONNECT_WITHIN, ANSWER_WITHIN = 5.0, 10.0  # seconds


def answers(url: str) -> Finding:
    """Any answer will do: what is asked for is no model's path."""
    try:
        status = requests.get(url, timeout=(CONNECT_WITHIN, ANSWER_WITHIN), allow_redirects=False).status_code
    except requests.RequestException as error:
        what = f"{url} doesn't answer: {_cause(error)}; see whether the routers' pods are ready, and DNS and policies"
        return Finding("router Service", State.WRONG, what)
    return Finding("router Service", State.OK, f"{url} answers ({status})")


def _cause(error: BaseException) -> str:
    """What is innermost, without the objects that the library puts before it."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).rpartition(": ")[2] or type(error).__name__
