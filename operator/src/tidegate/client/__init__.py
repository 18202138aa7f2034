"""Releases models from Python: applies ModelDeployments, watches them, asks for what people ask for, waits for the end.

    from tidegate.client import Client

    client = Client()
    client.apply("sentiment.yaml")
    print(client.wait("sentiment").message)

`AsyncClient` is the same to be awaited. What is given back is `RolloutView`, the one reading of a ModelDeployment that
the command line and the dashboard show, too.
"""

from tidegate.cli.common.errors import NotDone
from tidegate.cli.control.answer import Told
from tidegate.client.asynchronous import AsyncClient
from tidegate.client.errors import NotAnswered, NotSettled, Refused
from tidegate.client.synchronous import Client, Done
from tidegate.errors import ClusterUnavailable, TidegateError
from tidegate.view.rollout_view import Role, RolloutView, Settled

__all__ = [
    "AsyncClient",
    "Client",
    "ClusterUnavailable",
    "Done",
    "NotAnswered",
    "NotDone",
    "NotSettled",
    "Refused",
    "Role",
    "RolloutView",
    "Settled",
    "TidegateError",
    "Told",
]
