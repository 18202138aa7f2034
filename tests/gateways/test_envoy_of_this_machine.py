"""Arguments of a pod's Envoy, for one that runs beside the cluster."""

from pathlib import Path

import pytest

from tests.gateways.envoy_gateway import on_this_machine


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        pytest.param(
            "--service-node $(ENVOY_POD_NAME)", "--service-node envoy-gateway", id="a name instead of a pod's"
        ),
        pytest.param(
            "address: envoy-gateway.envoy-gateway-system.svc.cluster.local.",
            "address: 127.0.0.1",
            id="the controller is here",
        ),
        pytest.param("path: /sds/xds-certificate.json", "path: /run/sds/xds-certificate.json", id="files of our own"),
        pytest.param("port_value: 19000", "port_value: 4000", id="the admin port isn't the controller's"),
        pytest.param("port_value: 19001", "port_value: 19101", id="nor is that of the counters"),
    ],
)
def test_an_argument_fits_this_machine(argument: str, expected: str) -> None:
    assert on_this_machine(argument, Path("/run/sds"), 4000) == expected
