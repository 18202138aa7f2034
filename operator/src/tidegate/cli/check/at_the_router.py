"""Whether the routers' Service answers from here: names, addresses and policies of the network are in it."""

import requests

from tidegate.cli.check.finding import Finding, State
from tidegate.errors import innermost

CONNECT_WITHIN, ANSWER_WITHIN = 5.0, 10.0  # seconds


def answers(url: str) -> Finding:
    """Any answer will do: what is asked for is no model's path."""
    try:
        status = requests.get(url, timeout=(CONNECT_WITHIN, ANSWER_WITHIN), allow_redirects=False).status_code
    except requests.RequestException as error:
        what = (
            f"{url} doesn't answer: {innermost(error)}; see whether the routers' pods are ready, and DNS and policies"
        )
        return Finding("router Service", State.WRONG, what)
    return Finding("router Service", State.OK, f"{url} answers ({status})")
