"""What the Python client applies, against a real API server."""

from pathlib import Path
from typing import Any

import pytest

from tidegate.client import Client, NotDone, Settled
from tidegate.kube.api import MODEL_DEPLOYMENTS, KubernetesApi

pytestmark = pytest.mark.apiserver


def digits(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "digits"}, "spec": {"model": {"uri": "http://models/1"}, **spec}}


@pytest.fixture
def client(api_server: Path, namespace: str) -> Client:
    return Client(namespace, kubeconfig=api_server)


def test_applying_makes_a_model_and_changes_it(client: Client, api: KubernetesApi, namespace: str) -> None:
    assert client.apply(digits()).settled is Settled.UNDER_WAY
    client.apply(digits(replicas=3))
    stored = api.get(MODEL_DEPLOYMENTS, namespace, "digits")

    assert stored is not None
    assert (stored["spec"]["replicas"], stored["spec"]["model"]["uri"]) == (3, "http://models/1")


def test_what_another_manager_owns_is_left_to_it_unless_it_is_to_be_taken_over(
    client: Client, api: KubernetesApi, namespace: str
) -> None:
    client.apply(digits(replicas=2), manager="argocd")
    with pytest.raises(NotDone, match=r"argocd.*force=True"):
        client.apply(digits(replicas=3))
    client.apply(digits(replicas=3), force=True)
    stored = api.get(MODEL_DEPLOYMENTS, namespace, "digits")

    assert stored is not None
    assert stored["spec"]["replicas"] == 3


def test_a_spec_that_makes_no_sense_is_refused_with_the_field(client: Client) -> None:
    with pytest.raises(NotDone, match=r"can't be applied.*spec\.replicas"):
        client.apply(digits(replicas=-1))
