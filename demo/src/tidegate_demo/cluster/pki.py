"""The node's certificates, made with the openssl program. All of them appear at once or none does."""

import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import API_SERVICE_ADDRESS, NODE_ADDRESS, NODE_NAME, Layout

AUTHORITY = "ca"
SERVICE_ACCOUNTS = "service-accounts"
DAYS = "3650"
# Our own openssl configuration: the distribution's one adds extensions that contradict these.
OPENSSL_CONFIG = "[req]\ndistinguished_name = name\n[name]\n"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")


@dataclass(frozen=True)
class Leaf:
    """One certificate: the file's name, whom it names, and the addresses it serves (none: a client's)."""

    file: str
    common_name: str
    organisation: str = ""
    addresses: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return (f"/O={self.organisation}" if self.organisation else "") + f"/CN={self.common_name}"

    @property
    def extensions(self) -> tuple[str, ...]:
        usage = "serverAuth" if self.addresses else "clientAuth"
        fixed = (
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            f"extendedKeyUsage={usage}",
        )
        return (*fixed, "subjectAltName=" + ",".join(self.addresses)) if self.addresses else fixed


API_NAMES = tuple(f"DNS:kubernetes{end}" for end in ("", ".default", ".default.svc", ".default.svc.cluster.local"))
LEAVES = (
    Leaf("api-server", "kube-apiserver", addresses=(f"IP:{NODE_ADDRESS}", f"IP:{API_SERVICE_ADDRESS}", *API_NAMES)),
    Leaf("kubelet-server", NODE_NAME, addresses=(f"IP:{NODE_ADDRESS}", f"DNS:{NODE_NAME}")),
    Leaf("admin", "tidegate-admin", "system:masters"),
    Leaf("api-server-to-kubelet", "api-server-to-kubelet", "system:masters"),
    Leaf("kube-controller-manager", "system:kube-controller-manager"),
    Leaf("kube-scheduler", "system:kube-scheduler"),
    Leaf("kubelet", f"system:node:{NODE_NAME}", "system:nodes"),
    Leaf("kube-proxy", "system:kube-proxy"),
)


def ensure_pki(layout: Layout) -> None:
    """Makes the certificates once. An interrupt halfway leaves only a scratch folder, which the next call removes."""
    if layout.pki.exists():
        return
    scratch = layout.pki.with_name("pki.unfinished")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    (scratch / "openssl.cnf").write_text(OPENSSL_CONFIG)
    _make_authority(scratch)
    for leaf in LEAVES:
        _make_leaf(scratch, leaf)
    _openssl(scratch, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{SERVICE_ACCOUNTS}.key")
    _openssl(scratch, "ec", "-in", f"{SERVICE_ACCOUNTS}.key", "-pubout", "-out", f"{SERVICE_ACCOUNTS}.pub")
    scratch.rename(layout.pki)


def _make_authority(folder: Path) -> None:
    subject = ("-subj", f"/CN=tidegate-demo {secrets.token_hex(4)}")
    usage = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    _openssl(folder, "req", "-x509", *_common(AUTHORITY), *subject, *usage)


def _make_leaf(folder: Path, leaf: Leaf) -> None:
    extensions = [part for extension in leaf.extensions for part in ("-addext", extension)]
    signer = ("-CA", f"{AUTHORITY}.crt", "-CAkey", f"{AUTHORITY}.key")
    _openssl(folder, "req", "-x509", *_common(leaf.file), "-subj", leaf.subject, *signer, *extensions)


def _common(name: str) -> tuple[str, ...]:
    files = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
    return ("-config", "openssl.cnf", *NEW_KEY, "-days", DAYS, *files)


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
