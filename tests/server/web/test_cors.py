"""What a browser is told about pages from elsewhere."""

import pytest

from tidegate_server.access.principal import ANONYMOUS, Principal
from tidegate_server.errors import BadSetting
from tidegate_server.settings import Settings
from tidegate_server.web.cors import Cors
from tidegate_server.web.message import Request, Response, error_response

APP = "https://app.example"


def answer(cors: Cors, method: bytes = b"POST", **headers: str) -> Response:
    sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    answers: list[Response] = []
    handle = cors.around(lambda _, respond: respond(Response(200, b"{}")))
    handle(Request(method, b"/predict", sent, b"", True, 0.0), answers.append)
    return answers[0]


def header(response: Response, name: str) -> str | None:
    return dict(response.headers).get(name)


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        pytest.param([APP], APP, APP, id="a page that may"),
        pytest.param(["*"], APP, "*", id="all may"),
        pytest.param([APP], "https://app.example.evil", None, id="a longer name"),
        pytest.param([APP], "http://app.example", None, id="another scheme"),
        pytest.param([APP], "null", None, id="a file"),
        pytest.param([], APP, None, id="nobody may"),
    ],
)
def test_a_page_may_read_what_is_answered_where_the_setting_says_so(
    origins: list[str], origin: str, allowed: str | None
) -> None:
    response = answer(Cors(origins), origin=origin)
    assert (response.body, header(response, "access-control-allow-origin")) == (b"{}", allowed)
    assert header(response, "vary") == ("origin" if allowed == APP else None)


def test_what_a_browser_asks_ahead_is_answered_without_a_key() -> None:
    asked = answer(Cors([APP]), b"OPTIONS", origin=APP, access_control_request_method="POST")
    assert (asked.status, asked.body, header(asked, "access-control-allow-methods")) == (204, b"", "GET, POST")
    assert "x-api-key" in (header(asked, "access-control-allow-headers") or "")
    assert answer(Cors([APP]), b"OPTIONS", origin=APP).status == 200  # no question ahead: as any other request


def test_clients_that_are_no_pages_see_nothing_of_it() -> None:
    assert answer(Cors([APP])) == Response(200, b"{}")


def test_a_page_may_read_why_its_request_was_refused_before_its_body_was_read() -> None:
    def check(_target: bytes, headers: dict[bytes, bytes]) -> Principal | Response:
        return ANONYMOUS if b"x-api-key" in headers else error_response(401, "who are you?")

    checked = Cors([APP]).around_head(check)
    refused = checked(b"/predict", {b"origin": APP.encode()})
    assert isinstance(refused, Response)
    assert header(refused, "access-control-allow-origin") == APP
    assert checked(b"/predict", {b"x-api-key": b"k"}) == ANONYMOUS


@pytest.mark.parametrize(
    "given", ["app.example", "https://app.example/", "https://app.example/page", "ftp://a", "https://*.a b"]
)
def test_what_is_no_origin_is_refused(given: str) -> None:
    with pytest.raises(BadSetting, match="TIDEGATE_CORS_ORIGINS"):
        Settings.from_env({"TIDEGATE_CORS_ORIGINS": given})


def test_several_origins_are_read() -> None:
    settings = Settings.from_env({"TIDEGATE_CORS_ORIGINS": f" {APP} , http://localhost:3000"})
    assert settings.cors_origins == (APP, "http://localhost:3000")
