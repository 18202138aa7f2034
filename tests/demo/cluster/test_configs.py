"""The files and flags of the node's daemons."""

import base64
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import yaml

from tidegate_demo.cluster.configs import bridge_network, containerd_config, kubeconfig, portable_kubeconfig
from tidegate_demo.cluster.daemons import Daemon, Tools, daemons
from tidegate_demo.cluster.layout import Layout

LAYOUT = Layout(state=Path("/state"), run=Path("/run/node"))
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
TOOLS = Tools(
    etcd=Path("/bin/etcd"),
    kubernetes={name: Path("/bin", name) for name in KUBERNETES},
    containerd=Path("/bin/containerd"),
    runc=Path("/bin/runc"),
    cni_plugins=Path("/cni"),
)


def a_daemon(name: str) -> Daemon:
    return next(daemon for daemon in daemons(LAYOUT, TOOLS) if daemon.name == name)


def test_a_daemons_kubeconfig_names_its_certificate_files() -> None:
    assert yaml.safe_load(kubeconfig("kubelet", LAYOUT)) == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "tidegate-demo",
                "cluster": {"server": "https://198.18.0.1:6443", "certificate-authority": "/state/pki/ca.crt"},
            }
        ],
        "users": [
            {
                "name": "kubelet",
                "user": {"client-certificate": "/state/pki/kubelet.crt", "client-key": "/state/pki/kubelet.key"},
            }
        ],
        "contexts": [{"name": "tidegate-demo", "context": {"cluster": "tidegate-demo", "user": "kubelet"}}],
        "current-context": "tidegate-demo",
    }


def test_the_administrators_kubeconfig_carries_its_certificates() -> None:
    document = yaml.safe_load(portable_kubeconfig("admin", b"authority", b"certificate", b"key"))
    assert base64.b64decode(document["clusters"][0]["cluster"]["certificate-authority-data"]) == b"authority"
    assert {name: base64.b64decode(data) for name, data in document["users"][0]["user"].items()} == {
        "client-certificate-data": b"certificate",
        "client-key-data": b"key",
    }


def test_containerd_keeps_to_the_nodes_own_folders() -> None:
    document = tomllib.loads(containerd_config(LAYOUT, "/bin/runc", "/cni"))
    runc = document["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]["runc"]["options"]
    assert (document["root"], document["state"]) == ("/state/containerd", "/run/node/containerd")
    assert document["grpc"] == {"address": "/run/node/containerd/containerd.sock"}
    assert runc == {"BinaryName": "/bin/runc", "Root": "/run/node/runc"}


def test_pods_get_addresses_from_the_benchmarking_range_and_no_way_out() -> None:
    (bridge,) = json.loads(bridge_network(LAYOUT))["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "198.18.0.0/16", "gateway": "198.18.0.1"}]]
    assert "ipMasq" not in bridge


def test_daemons_start_after_those_they_need() -> None:
    assert [daemon.name for daemon in daemons(LAYOUT, TOOLS)] == ["etcd", "containerd", *KUBERNETES]


def test_no_daemon_listens_on_every_address_of_the_machine() -> None:
    told = [flag for daemon in daemons(LAYOUT, TOOLS) for flag in daemon.command if "0.0.0.0" in flag]
    assert told == []


def test_a_daemon_with_another_flag_or_another_file_counts_as_another_daemon() -> None:
    kubelet = a_daemon("kubelet")
    other_flag = replace(kubelet, command=(*kubelet.command, "--v=4"))
    other_file = replace(kubelet, files=((kubelet.files[0][0], "other"), *kubelet.files[1:]))
    assert len({daemon.fingerprint for daemon in (kubelet, other_flag, other_file)}) == 3
    assert a_daemon("kubelet").fingerprint == kubelet.fingerprint
