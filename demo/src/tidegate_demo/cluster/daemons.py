"""The node's daemons and their flags. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegate_demo.cluster.configs import bridge_network, containerd_config, kubeconfig, kubelet_config
from tidegate_demo.cluster.layout import (
    API_SERVER,
    ETCD_CLIENTS,
    ETCD_PEERS,
    NODE_ADDRESS,
    NODE_NAME,
    POD_RANGE,
    SERVICE_RANGE,
    Layout,
)
from tidegate_demo.cluster.pki import AUTHORITY, SERVICE_ACCOUNTS


@dataclass(frozen=True)
class Tools:
    """The programs that the node runs, by absolute path."""

    etcd: Path
    kubernetes: Mapping[str, Path]  # the five daemons by name
    containerd: Path
    runc: Path
    cni_plugins: Path  # a folder


@dataclass(frozen=True)
class Daemon:
    """A program to keep running, and the files to write for it before it starts."""

    name: str
    command: tuple[str, ...]
    files: tuple[tuple[Path, str], ...] = ()

    @property
    def fingerprint(self) -> str:
        """Changes when the flags or the files do: a daemon that runs with another one has to be restarted."""
        return hashlib.sha256(repr((self.command, self.files)).encode()).hexdigest()[:16]


def daemons(layout: Layout, tools: Tools) -> tuple[Daemon, ...]:
    """All daemons in the order to start them."""
    return (
        etcd(layout, tools),
        containerd(layout, tools),
        api_server(layout, tools),
        controller_manager(layout, tools),
        scheduler(layout, tools),
        kubelet(layout, tools),
        kube_proxy(layout, tools),
    )


def etcd(layout: Layout, tools: Tools) -> Daemon:
    flags = (
        f"--name={NODE_NAME}",
        f"--data-dir={layout.state}/etcd",
        f"--listen-client-urls={ETCD_CLIENTS}",
        f"--advertise-client-urls={ETCD_CLIENTS}",
        f"--listen-peer-urls={ETCD_PEERS}",
        f"--initial-advertise-peer-urls={ETCD_PEERS}",
        f"--initial-cluster={NODE_NAME}={ETCD_PEERS}",
        # A power cut may lose the last writes, and this node is made to be thrown away: waiting for the disk at
        # every write would be most of what it does.
        "--unsafe-no-fsync",
        "--log-level=warn",
    )
    return Daemon("etcd", (str(tools.etcd), *flags))


def containerd(layout: Layout, tools: Tools) -> Daemon:
    config = layout.config / "containerd.toml"
    files = (
        (config, containerd_config(layout, str(tools.runc), str(tools.cni_plugins))),
        (layout.config / "cni" / "10-tidegate.conflist", bridge_network(layout)),
    )
    return Daemon("containerd", (str(tools.containerd), f"--config={config}", "--log-level=warn"), files)


def api_server(layout: Layout, tools: Tools) -> Daemon:
    flags = (
        f"--advertise-address={NODE_ADDRESS}",
        f"--bind-address={NODE_ADDRESS}",
        "--secure-port=6443",
        f"--etcd-servers={ETCD_CLIENTS}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={layout.certificate(AUTHORITY)}",
        f"--tls-cert-file={layout.certificate('api-server')}",
        f"--tls-private-key-file={layout.key('api-server')}",
        f"--kubelet-certificate-authority={layout.certificate(AUTHORITY)}",
        f"--kubelet-client-certificate={layout.certificate('api-server-to-kubelet')}",
        f"--kubelet-client-key={layout.key('api-server-to-kubelet')}",
        # The node's name resolves nowhere; `kubectl logs` and `exec` have to go by its address.
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer={API_SERVER}",
        f"--service-account-key-file={layout.pki}/{SERVICE_ACCOUNTS}.pub",
        f"--service-account-signing-key-file={layout.key(SERVICE_ACCOUNTS)}",
        "--profiling=false",
    )
    return Daemon("kube-apiserver", (str(tools.kubernetes["kube-apiserver"]), *flags))


def controller_manager(layout: Layout, tools: Tools) -> Daemon:
    flags = (
        *_alone("kube-controller-manager", layout),
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--root-ca-file={layout.certificate(AUTHORITY)}",
        f"--service-account-private-key-file={layout.key(SERVICE_ACCOUNTS)}",
        f"--cluster-signing-cert-file={layout.certificate(AUTHORITY)}",
        f"--cluster-signing-key-file={layout.key(AUTHORITY)}",
        "--use-service-account-credentials",
        f"--flex-volume-plugin-dir={layout.state}/volume-plugins",
    )
    return _client("kube-controller-manager", flags, layout, tools)


def scheduler(layout: Layout, tools: Tools) -> Daemon:
    return _client("kube-scheduler", _alone("kube-scheduler", layout), layout, tools)


def kubelet(layout: Layout, tools: Tools) -> Daemon:
    config = layout.config / "kubelet.yaml"
    flags = (
        f"--kubeconfig={layout.kubeconfig_of('kubelet')}",
        f"--config={config}",
        f"--root-dir={layout.state}/kubelet",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={NODE_ADDRESS}",
    )
    files = ((config, kubelet_config(layout)), (layout.config / "resolv.conf", ""))
    return _client("kubelet", flags, layout, tools, files)


def kube_proxy(layout: Layout, tools: Tools) -> Daemon:
    flags = (
        f"--kubeconfig={layout.kubeconfig_of('kube-proxy')}",
        # Its own nftables tables: added and removed whole, and this machine's iptables stay as they are.
        "--proxy-mode=nftables",
        f"--cluster-cidr={POD_RANGE}",
        f"--hostname-override={NODE_NAME}",
        f"--bind-address={NODE_ADDRESS}",
        "--healthz-bind-address=",
        "--metrics-bind-address=",
        "--oom-score-adj=0",
        # This machine's connection tracking keeps its own limits.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    )
    return _client("kube-proxy", flags, layout, tools)


def _alone(user: str, layout: Layout) -> tuple[str, ...]:
    """Flags of a daemon that has no twin to elect a leader with, and that nobody scrapes."""
    return (
        f"--kubeconfig={layout.kubeconfig_of(user)}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    )


def _client(
    name: str, flags: tuple[str, ...], layout: Layout, tools: Tools, files: tuple[tuple[Path, str], ...] = ()
) -> Daemon:
    mine = (layout.kubeconfig_of(name), kubeconfig(name, layout))
    return Daemon(name, (str(tools.kubernetes[name]), *flags), (mine, *files))
