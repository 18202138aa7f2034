"""A real registry, CNCF Distribution, filled over its HTTP API, and layers to fill it with."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import requests

from tests.conftest import answers, free_port, running

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
PLAIN = "application/octet-stream"
EMPTY = "application/vnd.oci.empty.v1+json"
Config = tuple[str, bytes]
TAR, TARGZ = "application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Registry:
    host: str
    login: tuple[str, str] | None = None

    def uri(self, name: str) -> str:
        return f"oci://{self.host}/{name}"

    def push_blob(self, repository: str, content: bytes, kind: str = PLAIN, **notes: str) -> dict[str, Any]:
        """The blob's descriptor; `notes` are its annotations."""
        base = f"http://{self.host}/v2/{repository}/blobs/uploads/"
        place = requests.post(base, auth=self.login, timeout=10).headers["Location"]
        sent = requests.put(place, params={"digest": digest_of(content)}, data=content, auth=self.login, timeout=30)
        assert sent.status_code == 201, sent.text
        found: dict[str, Any] = {"mediaType": kind, "digest": digest_of(content), "size": len(content)}
        return {**found, "annotations": notes} if notes else found

    def push(self, repository: str, tag: str, manifest: Mapping[str, Any]) -> str:
        body = json.dumps({"schemaVersion": 2, **manifest}).encode()
        sent = requests.put(
            f"http://{self.host}/v2/{repository}/manifests/{tag}",
            data=body,
            headers={"Content-Type": manifest["mediaType"]},
            auth=self.login,
            timeout=10,
        )
        assert sent.status_code == 201, sent.text
        return digest_of(body)

    def size_of(self, repository: str, tag: str) -> int:
        url = f"http://{self.host}/v2/{repository}/manifests/{tag}"
        return len(requests.get(url, timeout=10, headers={"Accept": MANIFEST}).content)

    def push_layers(
        self, repository: str, tag: str, *layers: dict[str, Any], config: Config = (EMPTY, b"{}"), **more: str
    ) -> str:
        """`config`: type and content; the type tells an image from an artifact. `more` fields of the manifest."""
        kind, content = config
        described = self.push_blob(repository, content, kind)
        return self.push(repository, tag, {"mediaType": MANIFEST, "config": described, "layers": list(layers), **more})

    def push_image(self, repository: str, tag: str, *layers: bytes, kind: str = TARGZ) -> str:
        """An ordinary image, of tar archives; one that containers may be made of where they are packed with gzip."""
        blobs = [self.push_blob(repository, layer, kind) for layer in layers]
        unpacked = [digest_of(gzip.decompress(layer) if kind == TARGZ else layer) for layer in layers]
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
        content = {
            "architecture": machine,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": unpacked},
        }
        config = "application/vnd.oci.image.config.v1+json", json.dumps(content).encode()
        return self.push_layers(repository, tag, *blobs, config=config)

    def push_files(self, repository: str, tag: str, files: Mapping[str, bytes]) -> str:
        """As `oras push` does: a layer a file, its name in an annotation."""
        layers = [
            self.push_blob(repository, content, TAR, **{"org.opencontainers.image.title": name})
            for name, content in files.items()
        ]
        return self.push_layers(repository, tag, *layers)


@contextmanager
def a_registry(
    program: Path, folder: Path, auth: str = "", login: tuple[str, str] | None = None, address: str = "127.0.0.1"
) -> Iterator[Registry]:
    port = free_port()
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: warn}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '{address}:{port}'}}\n{auth}"
    )
    with running(folder, [str(program), "serve", str(config)]) as process:
        answers(f"http://{address}:{port}/", process)
        yield Registry(f"{address}:{port}", login)


def tar_layer(
    files: Mapping[str, bytes],
    *more: tarfile.TarInfo,
    then: Mapping[str, bytes] = MappingProxyType({}),
    packed: bool = True,
) -> bytes:
    """Files, other entries, and files that come after those."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _add(tar, files)
        for info in more:
            tar.addfile(info)
        _add(tar, then)
    return gzip.compress(buffer.getvalue()) if packed else buffer.getvalue()


def _add(tar: tarfile.TarFile, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info
