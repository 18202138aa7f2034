"""Whether a Gateway's listeners would take a route."""

from typing import Any

import pytest

from tidegate.model.gateway import ParentRef
from tidegate.resources.gateway import why_not_taken

PUBLIC = ParentRef("edge", "public")


def listener(**fields: Any) -> dict[str, Any]:
    return {"name": "web", "port": 80, **fields}


def gateway(*listeners: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"listeners": list(listeners)}}


ALL = {"allowedRoutes": {"namespaces": {"from": "All"}}}


@pytest.mark.parametrize(
    ("taker", "parent", "hostnames", "namespace"),
    [
        pytest.param(listener(**ALL), PUBLIC, (), "shop", id="of every host and namespace"),
        pytest.param(listener(), PUBLIC, (), "edge", id="of its own namespace"),
        pytest.param(
            listener(hostname="*.example.com", **ALL), PUBLIC, ("a.example.com",), "shop", id="of a wildcard's hosts"
        ),
        pytest.param(
            listener(hostname="a.example.com", **ALL), PUBLIC, ("*.example.com",), "shop", id="of a host of a wildcard"
        ),
        pytest.param(
            listener(**ALL), ParentRef("edge", "public", "web", 80), (), "shop", id="by its name and its port"
        ),
        pytest.param(
            listener(allowedRoutes={"namespaces": {"from": "Selector"}}),
            PUBLIC,
            (),
            "shop",
            id="of labelled namespaces",
        ),
    ],
)
def test_a_listener_takes_routes(
    taker: dict[str, Any], parent: ParentRef, hostnames: tuple[str, ...], namespace: str
) -> None:
    assert why_not_taken(gateway(taker), parent, hostnames, namespace) == ""


@pytest.mark.parametrize(
    ("refuser", "parent", "hostnames", "why"),
    [
        pytest.param(
            listener(),
            PUBLIC,
            (),
            "no listener allows routes from shop: set allowedRoutes.namespaces.from to All, or to Selector",
            id="of another namespace, by default",
        ),
        pytest.param(
            listener(hostname="*.example.com", **ALL),
            PUBLIC,
            ("example.com",),
            "no listener takes example.com; they take *.example.com",
            id="of a host that its wildcard doesn't cover",
        ),
        pytest.param(
            listener(**ALL),
            ParentRef("edge", "public", "tls"),
            (),
            "it has no such listener; there are web",
            id="of another name",
        ),
        pytest.param(
            listener(**ALL),
            ParentRef("edge", "public", port=443),
            (),
            "it has no such listener; there are web",
            id="of another port",
        ),
    ],
)
def test_a_listener_refuses_routes(
    refuser: dict[str, Any], parent: ParentRef, hostnames: tuple[str, ...], why: str
) -> None:
    assert why_not_taken(gateway(refuser), parent, hostnames, "shop") == why
