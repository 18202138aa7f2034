"""How Prometheus is reached: credentials and certificates from a mounted Secret, read anew so that they may rotate."""

from dataclasses import dataclass
from pathlib import Path

import requests
from requests.auth import AuthBase, HTTPBasicAuth

HEADER = "header."
"""What the files of headers begin with: `header.X-Scope-OrgID`."""
TOKEN, USERNAME, PASSWORD = "token", "username", "password"
AUTHORITY, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"


@dataclass(frozen=True)
class PrometheusAccess:
    """`folder` holds the Secret's keys as files, any of which may be missing; None where Prometheus asks for none."""

    folder: Path | None = None

    @classmethod
    def of(cls, folder: str) -> "PrometheusAccess":
        """`folder` may be empty: Prometheus asks for nothing."""
        return cls(Path(folder) if folder else None)

    def session(self) -> requests.Session:
        """A session that trusts the Secret's authority and shows its certificate, where there are such."""
        session = requests.Session()
        session.trust_env = False  # a proxy or a .netrc of the image isn't meant for Prometheus
        if self.folder is None:
            return session
        if (self.folder / AUTHORITY).is_file():
            session.verify = str(self.folder / AUTHORITY)
        if (self.folder / CERTIFICATE).is_file() and (self.folder / KEY).is_file():
            session.cert = (str(self.folder / CERTIFICATE), str(self.folder / KEY))
        return session

    def credentials(self) -> AuthBase | None:
        """Puts a bearer token, or else a user's name and password, and the Secret's headers into each request."""
        return _FromFiles(self.folder) if self.folder else None


NO_SECRET = PrometheusAccess()


class _FromFiles(AuthBase):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if token := self._read(TOKEN):
            request.headers["Authorization"] = f"Bearer {token}"
        elif name := self._read(USERNAME):
            HTTPBasicAuth(name, self._read(PASSWORD))(request)
        for file in sorted(self._folder.glob(f"{HEADER}*")):
            request.headers[file.name.removeprefix(HEADER)] = self._read(file.name)
        return request

    def _read(self, name: str) -> str:
        try:
            return (self._folder / name).read_text().strip()
        except OSError:
            return ""
