"""The files that the node's daemons read, as text. Pure."""

import base64
import json
from typing import Any

import yaml

from tidegate_demo.cluster.layout import (
    API_SERVER,
    BRIDGE,
    DNS_ADDRESS,
    NODE_ADDRESS,
    PAUSE_IMAGE,
    POD_RANGE,
    Layout,
)


def kubeconfig(user: str, layout: Layout) -> str:
    """A kubeconfig that refers to the certificate files of one daemon; for daemons on this machine only."""
    cluster = {"server": API_SERVER, "certificate-authority": str(layout.certificate("ca"))}
    credentials = {"client-certificate": str(layout.certificate(user)), "client-key": str(layout.key(user))}
    return _kubeconfig(user, cluster, credentials)


def portable_kubeconfig(user: str, authority: bytes, certificate: bytes, key: bytes) -> str:
    """A kubeconfig with the certificates (PEM) inside it, so that it can be copied."""
    cluster = {"server": API_SERVER, "certificate-authority-data": _base64(authority)}
    credentials = {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}
    return _kubeconfig(user, cluster, credentials)


def _kubeconfig(user: str, cluster: dict[str, str], credentials: dict[str, str]) -> str:
    name = "tidegate-demo"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def containerd_config(layout: Layout, runc: str, cni_plugins: str) -> str:
    """containerd's configuration: a root, state and socket of our own, so that it meets no other containerd."""
    return f"""\
version = 2
root = "{layout.state}/containerd"
state = "{layout.run}/containerd"
# The opt plugin makes /opt/containerd; the other snapshotters only warn that they cannot work here.
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{layout.containerd_socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE no score below our own may be set, and every sandbox would fail.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_plugins}"
    conf_dir = "{layout.config}/cni"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{runc}"
      Root = "{layout.run}/runc"
"""


def bridge_network(layout: Layout) -> str:
    """The pods' network: one bridge, no masquerade. Pods reach each other, Services and this machine, nothing else."""
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": f"{layout.state}/addresses",
            "ranges": [[{"subnet": POD_RANGE, "gateway": NODE_ADDRESS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return json.dumps({"cniVersion": "0.4.0", "name": BRIDGE, "plugins": [bridge]}, indent=2) + "\n"


def kubelet_config(layout: Layout) -> str:
    """The kubelet's configuration; every folder it would take by default is moved below the node's own."""
    document: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.certificate("ca"))},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.certificate("kubelet-server")),
        "tlsPrivateKeyFile": str(layout.key("kubelet-server")),
        "healthzPort": 0,
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "podLogsDir": f"{layout.state}/pod-logs",
        "volumePluginDir": f"{layout.state}/volume-plugins",
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_ADDRESS],
        "resolvConf": f"{layout.config}/resolv.conf",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        # kube-proxy writes to nftables tables of its own, so nobody has to touch this machine's iptables.
        "makeIPTablesUtilChains": False,
        # A laptop's disk is often nearly full, and an image that was removed here cannot be pulled again.
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        # Lowering the score of a process needs a capability that containers of CI systems lack.
        "oomScoreAdj": 0,
        # A rollout starts and stops many pods on one node; the default of 5 a second would be what is measured.
        "kubeAPIQPS": 50,
        "kubeAPIBurst": 100,
    }
    return yaml.safe_dump(document, sort_keys=False)
