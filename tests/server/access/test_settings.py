"""Half a configuration is refused, never ignored."""

from pathlib import Path

import pytest

from tidegate_server.access.settings import AccessSettings, JwtSettings
from tidegate_server.errors import BadSetting

COMPLETE = {
    "TIDEGATE_JWT_ISSUER": "https://login.example",
    "TIDEGATE_JWT_AUDIENCE": "inference",
    "TIDEGATE_JWT_KEYS_URL": "https://login.example/keys",
}
BY_FILE = {**COMPLETE, "TIDEGATE_JWT_KEYS_URL": "", "TIDEGATE_JWT_KEYS_FILE": "/keys.json"}
BY_SECRET = {**COMPLETE, "TIDEGATE_JWT_KEYS_URL": "", "TIDEGATE_JWT_SECRET_FILE": "/secret"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, AccessSettings(), id="nothing set: open"),
        pytest.param(
            {"TIDEGATE_API_KEYS_FILE": "/keys"}, AccessSettings(api_keys_file=Path("/keys")), id="a file of keys"
        ),
        pytest.param(
            COMPLETE,
            AccessSettings(
                jwt=JwtSettings(
                    "https://login.example",
                    "inference",
                    ("RS256", "ES256", "EdDSA"),
                    keys_url="https://login.example/keys",
                )
            ),
            id="tokens by address",
        ),
        pytest.param(
            {
                **BY_FILE,
                "TIDEGATE_JWT_ALGORITHMS": "ES256, EdDSA",
                "TIDEGATE_JWT_SCOPE": "infer",
                "TIDEGATE_JWT_LEEWAY_SECONDS": "5",
            },
            AccessSettings(
                jwt=JwtSettings(
                    "https://login.example",
                    "inference",
                    ("ES256", "EdDSA"),
                    keys_file=Path("/keys.json"),
                    scope="infer",
                    leeway_seconds=5,
                )
            ),
            id="tokens by file",
        ),
        pytest.param(
            BY_SECRET,
            AccessSettings(
                jwt=JwtSettings("https://login.example", "inference", ("HS256",), secret_file=Path("/secret"))
            ),
            id="tokens by secret",
        ),
    ],
)
def test_settings_are_read(environ: dict[str, str], expected: AccessSettings) -> None:
    assert AccessSettings.from_env(environ) == expected


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        pytest.param({"TIDEGATE_JWT_ISSUER": "x"}, "exactly one of", id="no source of keys"),
        pytest.param({"TIDEGATE_JWT_SCOP": "x"}, "TIDEGATE_JWT_SCOP asks for tokens", id="a misspelt variable alone"),
        pytest.param({**COMPLETE, "TIDEGATE_JWT_KEYS_FILE": "/k"}, "exactly one of", id="two sources of keys"),
        pytest.param({**COMPLETE, "TIDEGATE_JWT_ISSUER": ""}, "TIDEGATE_JWT_ISSUER is missing", id="no issuer"),
        pytest.param({**COMPLETE, "TIDEGATE_JWT_AUDIENCE": ""}, "TIDEGATE_JWT_AUDIENCE is missing", id="no audience"),
        pytest.param({**COMPLETE, "TIDEGATE_JWT_ALGORITHMS": "none"}, "can hold RS256", id="algorithm none"),
        pytest.param({**COMPLETE, "TIDEGATE_JWT_ALGORITHMS": "HS256"}, "can hold RS256", id="HS256 with public keys"),
        pytest.param(
            {**BY_SECRET, "TIDEGATE_JWT_ALGORITHMS": "HS256,RS256"}, "can hold HS256 only", id="RS256 with a secret"
        ),
        pytest.param({**COMPLETE, "TIDEGATE_JWT_KEYS_URL": "http://login.example"}, "https", id="keys over plain http"),
        pytest.param({**COMPLETE, "TIDEGATE_JWT_KEYS_URL": "file:///etc/passwd"}, "https", id="keys from a file URL"),
        pytest.param({**COMPLETE, "TIDEGATE_JWT_KEYS_URL": "https://[::1"}, "isn't an address", id="no address"),
        pytest.param({**COMPLETE, "TIDEGATE_JWT_KEYS_URL": "https://u:hush@x/"}, "password", id="a password in it"),
        pytest.param({**COMPLETE, "TIDEGATE_JWT_LEEWAY_SECONDS": "301"}, "from 0 to 300", id="much leeway"),
        pytest.param({**COMPLETE, "TIDEGATE_JWT_LEEWAY_SECONDS": "nan"}, "from 0 to 300", id="leeway that isn't"),
    ],
)
def test_half_a_configuration_is_refused(environ: dict[str, str], named: str) -> None:
    with pytest.raises(BadSetting, match=named) as caught:
        AccessSettings.from_env(environ)
    assert "hush" not in str(caught.value)
