"""What the scripts ask of Docker, by a program in its place: no Docker is needed, and nothing is built."""

import os
import subprocess
from pathlib import Path

import pytest

CI = Path(__file__).parents[2] / ".ci"
DIGEST = f"sha256:{'ab' * 32}"
DOCKER = """#!/usr/bin/env bash
echo "$*" >> "$TOLD"
case "$*" in
  *"buildx build"*)
    while [ "$1" != --metadata-file ]; do shift; done
    echo '{"containerimage.digest": "DIGEST"}' > "$2" ;;
  *"imagetools inspect"*) echo '{"digest": "DIGEST"}' ;;
esac
""".replace("DIGEST", DIGEST)


@pytest.fixture
def docker(tmp_path: Path) -> dict[str, str]:
    """An environment whose Docker writes down what it is asked."""
    program = tmp_path / "docker"
    program.write_text(DOCKER)
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TOLD": str(tmp_path / "told")}


def run(script: str, environment: dict[str, str], *arguments: str) -> tuple[str, str]:
    done = subprocess.run([str(CI / script), *arguments], env=environment, capture_output=True, text=True, check=True)
    return done.stdout, Path(environment["TOLD"]).read_text()


def test_an_image_is_pushed_by_its_digest_alone_with_its_sbom_and_provenance(docker: dict[str, str]) -> None:
    out, told = run("push-image", docker, "registry.example/operator", "operator", "arm64", "0.2.0")
    assert out == f"registry.example/operator@{DIGEST}\n"
    for part in ("--platform linux/arm64", "--sbom=true", "--provenance=mode=max", "image.version=0.2.0"):
        assert part in told
    assert "--output type=image,name=registry.example/operator,push-by-digest=true" in told
    assert "--tag" not in told


def test_images_of_each_machine_become_one_with_a_name(docker: dict[str, str]) -> None:
    each = [f"registry.example/operator@sha256:{digit * 64}" for digit in "cd"]
    out, told = run("join-image", docker, "registry.example/operator:0.2.0", *each)
    assert out == f"{DIGEST}\n"
    assert told.splitlines()[0] == f"buildx imagetools create --tag registry.example/operator:0.2.0 {each[0]} {each[1]}"
