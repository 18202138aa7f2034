"""What pods of the one-node cluster are told of names."""

import dns.message
import dns.rcode
import pytest

from tests.controls.names import answer


def addresses(namespace: str, service: str) -> list[str]:
    return ["198.18.0.5", "198.18.0.6"] if (namespace, service) == ("shop", "digits") else []


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        pytest.param("digits.shop.svc.", "A", ["198.18.0.5", "198.18.0.6"], id="the pods of a Service"),
        pytest.param("digits.shop.svc.cluster.local.", "A", ["198.18.0.5", "198.18.0.6"], id="by its whole name"),
        pytest.param("digits.shop.svc.", "AAAA", [], id="no address of IPv6"),
    ],
)
def test_a_service_has_the_addresses_of_its_pods(name: str, kind: str, expected: list[str]) -> None:
    found = answer(dns.message.make_query(name, kind), addresses)

    assert (found.rcode(), [record.to_text() for each in found.answer for record in each]) == (
        dns.rcode.NOERROR,
        expected,
    )


@pytest.mark.parametrize("name", ["nobody.shop.svc.", "digits.example.com.", "digits."])
def test_there_is_nothing_of_any_other_name(name: str) -> None:
    assert answer(dns.message.make_query(name, "A"), addresses).rcode() == dns.rcode.NXDOMAIN
