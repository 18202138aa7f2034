"""Which addresses are called, and what of them is told."""

import pytest

from tests.operator.world import SETTINGS
from tidegate.errors import CallFailed
from tidegate.webhooks.addresses import AddressRules, Proxy, Target

USUAL = AddressRules(SETTINGS.refused_networks)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "::ffff:127.0.0.1",
        "224.0.0.1",
    ],
)
def test_the_operators_own_pod_and_the_credentials_of_clouds_are_not_called(address: str) -> None:
    assert not USUAL.allows(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "100.64.0.1", "1.1.1.1", "fd00::1", "2606:4700::1111"])
def test_services_of_the_cluster_and_of_the_internet_are(address: str) -> None:
    assert USUAL.allows(address)


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        (
            "https://hooks.example.com/services/T0/B0/secret?token=x#y",
            "https://hooks.example.com",
            "/services/T0/B0/secret?token=x",
        ),
        ("http://gate.shop.svc:8080", "http://gate.shop.svc:8080", "/"),
        ("https://[2001:db8::1]:443/a", "https://[2001:db8::1]", "/a"),
    ],
)
def test_of_a_url_only_the_origin_is_told(url: str, origin: str, path: str) -> None:
    target = Target.parse(url)

    assert (target.origin, target.path) == (origin, path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sesame",
        "file:///etc/passwd",
        "ftp://sesame.example.com/",
        "https://",
        "https://alice:sesame@example.com/",
        "https://example.com:sesame/",
        "https://exämple.com/sesame",
        "https://example.com/ses ame",
        "https://example.com/sesame\r\nX: y",
        "http://[::1/sesame",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(CallFailed) as refused:
        Target.parse(url)

    assert "sesame" not in str(refused.value)
    assert refused.value.final


PROXY = Proxy("proxy.corp", 3128, ("svc", "cluster.local", "corp"))


@pytest.mark.parametrize(
    "host", ["hooks.slack.com", "example.com.", "1.1.1.1", "notsvc.example.org", "2606:4700::1111"]
)
def test_hosts_outside_are_called_through_the_proxy(host: str) -> None:
    assert PROXY.is_for(host)


@pytest.mark.parametrize(
    "host", ["gate", "gate.shop.svc", "gate.shop.svc.cluster.local", "CI.Corp", "10.0.0.1", "127.0.0.1", "fd00::1"]
)
def test_hosts_of_the_cluster_are_called_without_it(host: str) -> None:
    assert not PROXY.is_for(host)


def test_a_proxy_is_a_host_and_a_port_or_nothing() -> None:
    assert Proxy.parse("http://proxy.corp:3128", ("svc",)) == Proxy("proxy.corp", 3128, ("svc",))
    assert Proxy.parse("", ()) is None


@pytest.mark.parametrize("url", ["https://proxy.corp", "proxy.corp:3128", "http://a:sesame@proxy.corp", "http://a/b"])
def test_a_proxy_of_another_kind_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(CallFailed) as refused:
        Proxy.parse(url, ())

    assert "sesame" not in str(refused.value)
