"""Hosts of container registries: Docker Hub's other names, and which hosts are spoken to without TLS. Pure."""

import re
from ipaddress import ip_address

DOCKER_HUB = ("docker.io", "index.docker.io")
"""What names of images call it."""
DOCKER_HUB_HOST, DOCKER_HUB_LOGIN = "registry-1.docker.io", "https://index.docker.io/v1/"
"""Its host, and under which name docker's config.json has its login."""


def without_port(host: str) -> str:
    """The host of HOST or HOST:PORT; an IPv6 address keeps its brackets."""
    return re.sub(r":\d+$", "", host)


def is_loopback(host: str) -> bool:
    """Where images may travel without TLS, as with other programs of this kind. `host` may have a port."""
    name = without_port(host)
    if name == "localhost":
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
