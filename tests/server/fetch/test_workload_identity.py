"""A pod's own identity reads s3://, gs:// and az:// without a key: each cloud's exchange of tokens, played on loopback.

What is played is what the clouds' documents say of it; who exchanges is each cloud's own library, inside `fetch`.
"""

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.server.fetch.conftest import Bring
from tests.small_http import listening

POD_TOKEN = "the-pods-own-token"  # noqa: S105 - nobody's
NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": "/nonexistent", "AWS_REGION": "eu-west-1"}


@dataclass(frozen=True)
class Reply:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Cloud:
    """One server for whoever gives tokens and for whoever takes them. `seconds`: how long what is given holds."""

    content: bytes
    seconds: float = 3600
    given: int = 0
    taken: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    refuses: bool = False
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def give(self) -> str:
        """A new secret that is good for reading."""
        with self.lock:
            self.given += 1
            return f"secret-number-{self.given}"

    @property
    def expires(self) -> str:
        return (datetime.now(UTC) + timedelta(seconds=self.seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251

    def object(self, request: BaseHTTPRequestHandler, secret: str, **headers: str) -> Reply:
        """The model, or the part of it that is asked for, to who has been given that secret."""
        if not secret.startswith("secret-number-"):
            return Reply(b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>", 403)
        self.taken.add(secret)
        tag = f'"{sha256(self.content).hexdigest()[:16]}"'
        dates = {"ETag": tag, "Last-Modified": format_datetime(datetime(2026, 1, 2, tzinfo=UTC), usegmt=True)}
        span = request.headers.get("Range") or request.headers.get("x-ms-range")
        if span is None:
            return Reply(self.content, 200, {**dates, **headers})
        first, last = span.removeprefix("bytes=").split("-")
        end = min(len(self.content), int(last or len(self.content)) + 1)
        place = {"Content-Range": f"bytes {first}-{end - 1}/{len(self.content)}"}
        return Reply(self.content[int(first) : end], 206, {**dates, **place, **headers})


Answer = Callable[[Cloud, BaseHTTPRequestHandler, bytes], Reply]


@contextmanager
def played(cloud: Cloud, answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[Cloud]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            cloud.asked.append(self.path)
            reply = answer(cloud, self, body)
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_GET = do_HEAD = do_POST = do_PUT = _any  # noqa: N815 - http.server's names

    with listening(Handler, context) as cloud.port:
        yield cloud


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(POD_TOKEN)
    return path


def says_nothing(text: str) -> bool:
    """No token in it, neither the pod's nor one that was given for it."""
    return POD_TOKEN not in text and "secret-number-" not in text


def aws(cloud: Cloud, request: BaseHTTPRequestHandler, body: bytes) -> Reply:
    """S3, STS and the agent of EKS Pod Identity."""
    if request.path == "/credentials":
        if request.headers.get("Authorization") != POD_TOKEN:
            return Reply(b"{}", 401)
        secret = cloud.give()
        found = {"AccessKeyId": "ASIAPOD", "SecretAccessKey": secret, "Token": secret, "Expiration": cloud.expires}
        return Reply(json.dumps(found).encode(), headers={"Content-Type": "application/json"})
    if request.command == "POST":
        return sts(cloud, {name: values[0] for name, values in parse_qs(body.decode()).items()})
    return cloud.object(request, request.headers.get("x-amz-security-token", ""))


def sts(cloud: Cloud, asked: dict[str, str]) -> Reply:
    fits = asked.get("Action") == "AssumeRoleWithWebIdentity" and asked["RoleArn"] == "arn:aws:iam::1:role/models"
    if cloud.refuses or not fits or asked["WebIdentityToken"] != POD_TOKEN:
        words = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
        error = f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>{words}</Message></Error></ErrorResponse>"
        return Reply(error.encode(), 403, {"Content-Type": "text/xml"})
    secret = cloud.give()
    keys = f"<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
    credentials = f"{keys}<SessionToken>{secret}</SessionToken><Expiration>{cloud.expires}</Expiration>"
    result = (
        f"<AssumeRoleWithWebIdentityResult><Credentials>{credentials}</Credentials></AssumeRoleWithWebIdentityResult>"
    )
    space = "https://sts.amazonaws.com/doc/2011-06-15/"
    answer = f'<AssumeRoleWithWebIdentityResponse xmlns="{space}">{result}</AssumeRoleWithWebIdentityResponse>'
    return Reply(answer.encode(), headers={"Content-Type": "text/xml"})


def role(cloud: Cloud, token_file: Path) -> dict[str, str]:
    """What EKS puts into a pod whose ServiceAccount is annotated with a role, and where STS and S3 are."""
    return {
        **NO_KEYS,
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/models",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file),
        "AWS_ENDPOINT_URL_STS": cloud.url,
        "AWS_ENDPOINT_URL_S3": cloud.url,
    }


def test_a_role_of_the_service_account_reads_s3(bring_alone: Bring, linear: Path, token_file: Path) -> None:
    with played(Cloud(linear.read_bytes()), aws) as cloud:
        ended = bring_alone("s3://models/m.onnx", **role(cloud, token_file))
    assert (ended.reason, ended.shown) == ("brought", {"model.onnx": linear.read_bytes()})
    assert cloud.taken == {"secret-number-1"}
    assert says_nothing(ended.log + json.dumps(ended.report))


def test_a_long_download_outlives_its_first_credentials(bring_alone: Bring, big: Path, token_file: Path) -> None:
    with played(Cloud(big.read_bytes(), seconds=60), aws) as cloud:
        ended = bring_alone("s3://models/m.onnx", **role(cloud, token_file))
    assert (ended.reason, (ended.folder / "model.onnx").read_bytes() == big.read_bytes()) == ("brought", True)
    # What holds for a minute only is renewed before each use.
    assert len(cloud.taken) > 2
    assert says_nothing(ended.log + json.dumps(ended.report))


def test_a_role_that_may_not_be_taken_is_told_without_a_token(
    bring_alone: Bring, linear: Path, token_file: Path
) -> None:
    with played(Cloud(linear.read_bytes(), refuses=True), aws) as cloud:
        ended = bring_alone("s3://models/m.onnx", **role(cloud, token_file))
    assert (ended.reason, "refused access" in ended.report["message"]) == ("Unreachable", True)
    assert "check the credentials" in ended.report["message"]
    assert says_nothing(ended.log + json.dumps(ended.report))


def test_eks_pod_identity_reads_s3(bring_alone: Bring, linear: Path, token_file: Path) -> None:
    with played(Cloud(linear.read_bytes()), aws) as cloud:
        pod = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{cloud.url}/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token_file),
            "AWS_ENDPOINT_URL_S3": cloud.url,
        }
        ended = bring_alone("s3://models/m.onnx", **NO_KEYS, **pod)
    assert (ended.reason, ended.shown) == ("brought", {"model.onnx": linear.read_bytes()})
    assert cloud.taken == {"secret-number-1"}
    assert says_nothing(ended.log + json.dumps(ended.report))


METADATA = {"Metadata-Flavor": "Google", "Content-Type": "application/json"}


def google(cloud: Cloud, request: BaseHTTPRequestHandler, _body: bytes) -> Reply:
    """Cloud Storage, and GKE's metadata server."""
    path = urlsplit(request.path).path
    if path.startswith(("/storage/", "/download/")):
        secret = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if path.startswith("/download/") or "alt=media" in request.path:
            return cloud.object(request, secret)
        if not secret.startswith("secret-number-"):
            return Reply(b"{}", 401)
        if not path.endswith("/o/m.onnx"):
            return Reply(b"{}", 404)
        size = str(len(cloud.content))
        about = {"kind": "storage#object", "name": "m.onnx", "bucket": "models", "size": size, "generation": "7"}
        return Reply(json.dumps(about).encode(), headers={"Content-Type": "application/json"})
    if request.headers.get("Metadata-Flavor") != "Google" and path != "/":
        return Reply(b"", 403)
    if path.endswith("/token"):
        found = {"access_token": cloud.give(), "expires_in": cloud.seconds, "token_type": "Bearer"}
        return Reply(json.dumps(found).encode(), headers=METADATA)
    if path.endswith("/service-accounts/default/"):
        found = {"email": "models@p.iam.gserviceaccount.com", "scopes": [], "aliases": ["default"]}
        return Reply(json.dumps(found).encode(), headers=METADATA)
    if path.endswith("/project-id"):
        return Reply(b"p", headers={**METADATA, "Content-Type": "text/plain"})
    if path.endswith("/universe-domain"):
        return Reply(b"googleapis.com", headers={**METADATA, "Content-Type": "text/plain"})
    return Reply(b"", headers=METADATA)


def test_gkes_workload_identity_reads_gs(bring_alone: Bring, linear: Path) -> None:
    with played(Cloud(linear.read_bytes()), google) as cloud:
        host = f"127.0.0.1:{cloud.port}"
        pod = {"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host, "FSSPEC_GS_ENDPOINT_URL": cloud.url}
        ended = bring_alone("gs://models/m.onnx", HOME="/nonexistent", **pod)
    assert (ended.reason, ended.shown) == ("brought", {"model.onnx": linear.read_bytes()})
    assert cloud.given >= 1
    assert cloud.taken
    assert says_nothing(ended.log + json.dumps(ended.report))


def azure(cloud: Cloud, request: BaseHTTPRequestHandler, body: bytes) -> Reply:
    """Blob Storage, and Entra's exchange of a federated token."""
    if request.command == "POST":
        asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if asked.get("client_assertion") != POD_TOKEN or "/tenant/oauth2/v2.0/token" not in request.path:
            return Reply(b'{"error": "invalid_client"}', 401, {"Content-Type": "application/json"})
        found = {"access_token": cloud.give(), "expires_in": int(cloud.seconds), "token_type": "Bearer"}
        return Reply(json.dumps(found).encode(), headers={"Content-Type": "application/json"})
    if not urlsplit(request.path).path.endswith("/models/m.onnx"):
        return Reply(b"", 404, {"x-ms-error-code": "BlobNotFound"})
    secret = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return cloud.object(request, secret, **{"x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-01-01"})


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    key, path = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*made, "2", "-keyout", str(key), "-out", str(path), *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    return path, context


def test_azures_workload_identity_reads_az(
    bring_alone: Bring, linear: Path, token_file: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    with played(Cloud(linear.read_bytes()), azure, certificate[1]) as cloud:
        host = f"localhost:{cloud.port}"
        pod = {
            "AZURE_FEDERATED_TOKEN_FILE": str(token_file),
            "AZURE_CLIENT_ID": "client",
            "AZURE_TENANT_ID": "tenant",
            "AZURE_AUTHORITY_HOST": f"https://{host}/",
            "AZURE_STORAGE_ACCOUNT_NAME": "tests",
            "FSSPEC_ABFS_ACCOUNT_HOST": host,
            "SSL_CERT_FILE": str(certificate[0]),
        }
        ended = bring_alone("az://models/m.onnx", HOME="/nonexistent", **pod)
    assert (ended.reason, ended.shown) == ("brought", {"model.onnx": linear.read_bytes()})
    assert cloud.taken == {"secret-number-1"}
    assert says_nothing(ended.log + json.dumps(ended.report))
