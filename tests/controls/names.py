"""Names of Services for pods of the one-node cluster, which has no DNS of its own."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tidegate_demo.cluster.layout import NODE_ADDRESS
from tidegate_demo.kubectl import Kubectl

PORT = 53
SECONDS = 5
"""For so long an answer may be remembered."""
Addresses = Callable[[str, str], list[str]]


@contextmanager
def named(kubectl: Kubectl) -> Iterator[None]:
    """Pods find Services by name while inside: those without an address of their own by their ready pods."""
    server = socketserver.ThreadingUDPServer((NODE_ADDRESS, PORT), _handler(lambda *of: _ready(kubectl, *of)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(asked: dns.message.Message, addresses: Addresses) -> dns.message.Message:
    """To `SERVICE.NAMESPACE.svc` and its longer forms; of any other name there is nothing."""
    question, response = asked.question[0], dns.message.make_response(asked)
    response.flags |= dns.flags.RA
    name, namespace, kind, *_ = [*question.name.to_text().split("."), "", ""]
    found = addresses(namespace, name) if kind == "svc" else []
    if not found:
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif question.rdtype == dns.rdatatype.A:
        response.answer.append(dns.rrset.from_text_list(question.name, SECONDS, "IN", "A", found))
    return response


def _ready(kubectl: Kubectl, namespace: str, service: str) -> list[str]:
    slices = ("get", "endpointslices", "--selector", f"kubernetes.io/service-name={service}", "--output", "json")
    items = json.loads(kubectl.run("--namespace", namespace, *slices))["items"]
    endpoints = [each for item in items for each in item.get("endpoints") or ()]
    return [address for each in endpoints if each["conditions"].get("ready") for address in each["addresses"]]


def _handler(addresses: Addresses) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked, socket = self.request
            socket.sendto(answer(dns.message.from_wire(asked), addresses).to_wire(), self.client_address)

    return Handler
