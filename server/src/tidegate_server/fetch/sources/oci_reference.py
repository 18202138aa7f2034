"""What an oci:// URI names, and who may be spoken to without TLS. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import UNSUPPORTED_URI
from tidegate_server.fetch.safe_names import safe_name

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FORM = "write oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:..."
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DOCKER_HUB = ("docker.io", "index.docker.io")


@dataclass(frozen=True)
class Reference:
    """`version`: a tag, or `sha256:` and 64 hex digits. `inside`: the folder in the unpacked layers, or empty."""

    registry: str
    repository: str
    version: str
    inside: str = ""

    def at(self, digest: str) -> str:
        """The URI that leads to that digest for ever."""
        inside = f"/{self.inside}" if self.inside else ""
        return f"oci://{self.registry}/{self.repository}@{digest}{inside}"

    @property
    def host(self) -> str:
        """Where requests go: Docker Hub's registry has another name than its references have."""
        return "registry-1.docker.io" if self.registry in _DOCKER_HUB else self.registry


def parse(uri: str) -> Reference:
    """Raises FetchFailed for a URI that is no reference."""
    registry, _, rest = uri.partition("://")[2].partition("/")
    if "@" in registry:
        raise FetchFailed(UNSUPPORTED_URI, "oci:// takes no credentials; give them in a docker config.json")
    repository, version, inside = _split(rest)
    if not registry or not _REPOSITORY.fullmatch(repository):
        raise FetchFailed(UNSUPPORTED_URI, f"the model's URI is no reference to an artifact; {_FORM}")
    if not DIGEST.fullmatch(version) and not _TAG.fullmatch(version):
        raise FetchFailed(UNSUPPORTED_URI, f"{version[:80]!r} is neither a tag nor a digest; {_FORM}")
    if registry in _DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return Reference(registry, repository, version, safe_name(inside, "model.uri") if inside else "")


def is_plain(host: str, insecure: str) -> bool:
    """Whether a registry is spoken to over http: on loopback, or where TIDEGATE_REGISTRY_INSECURE lists its host."""
    listed = {name.strip() for name in insecure.split(",") if name.strip()}
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if {host, name} & listed or name == "localhost":
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def platform_matches(platform: Mapping[str, str], machine: str) -> bool:
    """Whether an image of that platform is for Linux on this machine."""
    wanted = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return platform.get("os") == "linux" and platform.get("architecture") == wanted


def _split(rest: str) -> tuple[str, str, str]:
    """Repository, version and what follows: neither a tag nor a digest has a slash in it."""
    found = re.fullmatch(r"(?P<repository>[^:@]+)(?:[:@](?P<version>[^/]+))?(?P<inside>/.*)?", rest)
    if found is None:
        return "", "", ""
    return found["repository"].strip("/"), found["version"] or "latest", (found["inside"] or "").strip("/")
