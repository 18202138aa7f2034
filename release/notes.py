"""The text of a release: its section of the changelog, and how to make sure of what was downloaded. Pure."""

from pathlib import Path

from release.changelog import section

SUMS = "SHA256SUMS"
WORKFLOW = ".github/workflows/release.yaml"
ISSUER = "https://token.actions.githubusercontent.com"
_CHECKING = """\
## Check what you have

Everything is signed by the workflow that made it, without a key of anybody's (cosign 3, GitHub CLI 2.49 or newer):

    signed_by="--certificate-identity=https://github.com/{repository}/{workflow}@refs/tags/v{version}"
    issued_by="--certificate-oidc-issuer={issuer}"
    cosign verify "$signed_by" "$issued_by" {images}/operator:{version}
    cosign verify "$signed_by" "$issued_by" {images}/server:{version}
    cosign verify "$signed_by" "$issued_by" {images}/tidegate:{version}
    cosign verify-blob "$signed_by" "$issued_by" --bundle {sums}.sigstore.json {sums}
    sha256sum --check --ignore-missing {sums}

Which commit and which run made a file or an image, as GitHub attests it:

    gh attestation verify --repo {repository} tidegate-{version}-py3-none-any.whl
    gh attestation verify --repo {repository} oci://{images}/operator:{version}
"""


def notes(changelog: str, version: str, repository: str, images: str) -> str:
    """As Markdown. `repository` is OWNER/NAME on GitHub, `images` the registry's folder with the images.

    Raises ReleaseError where the changelog doesn't know the version.
    """
    told = section(changelog, version)
    checking = _CHECKING.format(
        repository=repository, version=version, images=images, workflow=WORKFLOW, issuer=ISSUER, sums=SUMS
    )
    return f"{told}\n\n{checking}"


def sums(digests: dict[Path, str]) -> str:
    """As `sha256sum` writes it, by name."""
    return "".join(f"{digest}  {path.name}\n" for path, digest in sorted(digests.items()))
