"""Where the one-node cluster lives: its addresses, names and folders. Pure."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NODE_NAME = "tidegate-demo"
BRIDGE = "tidegate0"

# RFC 2544's benchmarking range: it belongs to nobody's network, so it collides with nobody's.
POD_RANGE = "198.18.0.0/16"
SERVICE_RANGE = "198.19.0.0/16"
# The control plane listens on the bridge, not on loopback: pods have to reach it, and the API server refuses to be
# advertised on a loopback address.
NODE_ADDRESS = "198.18.0.1"
API_SERVICE_ADDRESS = "198.19.0.1"
API_SERVER = f"https://{NODE_ADDRESS}:6443"
# A loopback address of its own, so that no other etcd on this machine is in the way, and no pod can reach it.
ETCD_CLIENTS = "http://127.0.0.86:2379"
ETCD_PEERS = "http://127.0.0.86:2380"
# Pods ask this server for names. There is none unless a test brings one; then they are refused at once, since waiting
# would be worse.
DNS_ADDRESS = NODE_ADDRESS

PAUSE_IMAGE = "docker.io/tidegate/pause:demo"


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where programs and images are kept between runs: `$XDG_CACHE_HOME/tidegate`, or `~/.cache/tidegate`."""
    home = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".cache")
    return Path(home) / "tidegate"


@dataclass(frozen=True)
class Layout:
    """The folders of one node. Everything that the node writes is below `state` or `run`, and `down` removes both."""

    state: Path = Path("/var/lib/tidegate-demo")
    run: Path = Path("/run/tidegate-demo")

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, with the certificates inside it."""
        return self.state / "admin.kubeconfig"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd" / "containerd.sock"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def machine_before(self) -> Path:
        """What `up` found on this machine, so that `down` can put it back."""
        return self.state / "machine-before.json"

    def kubeconfig_of(self, user: str) -> Path:
        """The kubeconfig of one of the node's own daemons."""
        return self.config / f"{user}.kubeconfig"

    def certificate(self, name: str) -> Path:
        return self.pki / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.pki / f"{name}.key"
