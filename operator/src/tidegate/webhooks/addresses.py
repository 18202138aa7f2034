"""Which addresses are called, and what of one may be told. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from tidegate.errors import CallFailed

Network = IPv4Network | IPv6Network
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Target:
    """A URL in its parts."""

    scheme: str
    host: str
    port: int
    path: str
    """With the query."""

    @classmethod
    def parse(cls, url: str) -> "Target":
        """Raises CallFailed with a sentence that repeats nothing of the URL: it may be a secret, or hold one."""
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise CallFailed("its address isn't a URL", final=True) from None
        if parts.scheme not in PORTS or not host or not host.isascii():
            raise CallFailed("its address doesn't begin with https:// or http:// and a host", final=True)
        if "@" in parts.netloc:
            raise CallFailed("its address holds a user's name or password, which isn't taken", final=True)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not (path.isascii() and path.isprintable()) or " " in path:
            raise CallFailed("the path of its address has characters that have to be written as %XX", final=True)
        return cls(parts.scheme, host, port or PORTS[parts.scheme], path)

    @property
    def origin(self) -> str:
        """What may be told: neither path nor query, which for many receivers are the secret."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """Host, and port where it isn't the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class AddressRules:
    """The networks that aren't called, whatever name leads there."""

    refused: tuple[Network, ...]

    def allows(self, address: str) -> bool:
        """Whether an IP address may be called."""
        found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return not any(found in network for network in self.refused)


@dataclass(frozen=True)
class Proxy:
    """Through which hosts outside of the cluster are called. It looks up their names itself, by rules of its own."""

    host: str
    port: int
    direct: tuple[str, ...] = ()
    """Ends of the names of hosts that are called without it: `svc` is for `gate.shop.svc` too."""

    @classmethod
    def parse(cls, url: str, direct: tuple[str, ...]) -> "Proxy | None":
        """None for an empty URL. Raises CallFailed with a sentence on one that isn't `http://HOST:PORT`."""
        if not url:
            return None
        target = Target.parse(url)
        if target.scheme != "http" or target.path != "/":
            raise CallFailed("a proxy's address must be http://HOST:PORT", final=True)
        return cls(target.host, target.port, direct)

    def is_for(self, host: str) -> bool:
        """Whether a host is called through it. Names without a dot and private addresses are the cluster's."""
        try:
            return not ip_address(host).is_private
        except ValueError:
            pass
        name = host.rstrip(".").lower()
        inside = any(name == end or name.endswith(f".{end}") for end in self.direct)
        return "." in name and not inside
