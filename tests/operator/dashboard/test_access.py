"""Who gets a page, and who gets none."""

import pytest

from tests.operator.dashboard.conftest import Begin, Browser
from tests.operator.dashboard.fake_api import FakeApi
from tests.operator.dashboard.test_pages import ROLLOUT, names_in, text_of

ALICE, BOB, NOBODY = "token-of-alice", "token-of-bob", "token-that-has-ended"
PAGES = ("/", ROLLOUT, "/events", f"{ROLLOUT}/events")


@pytest.fixture
def shared(api: FakeApi, begin: Begin) -> Browser:
    """As the chart runs it. Alice may read all of the shop; Bob may read the bank, and no pods."""
    api.people |= {ALICE: "alice", BOB: "bob"}
    api.rights = {
        ALICE: {("list", "modeldeployments", "shop"), ("list", "pods", "shop")},
        BOB: {("list", "modeldeployments", "bank")},
    }
    return begin(in_cluster=True)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", PAGES)
def test_without_the_key_of_the_address_nothing_is_shown(path: str, begin: Begin) -> None:
    answer = begin().get(path)

    assert answer.status_code == 401
    assert "sentiment" not in answer.text.replace("next=", "").partition("<main")[2].replace(ROLLOUT, "")


def test_the_printed_address_works_again_and_a_ticket_once(begin: Begin) -> None:
    browser = begin()
    ticket = browser.dashboard.access.ticket()  # type: ignore[attr-defined]
    used = [browser.get(f"/sign-in?ticket={ticket}", allow_redirects=False).status_code for _ in range(2)]

    assert used == [302, 401]
    assert browser.sign_in().sign_in().get("/").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8181", "10.0.0.7:8181"])
def test_a_name_of_elsewhere_that_leads_to_this_machine_gets_nothing(host: str, local: Browser) -> None:
    assert local.get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:8181"])
def test_a_forwarded_port_is_this_machine_too(host: str, local: Browser) -> None:
    (cookie,) = (f"{name}={value}" for name, value in local.cookies.items())

    assert local.get("/", headers={"Host": host, "Cookie": cookie}).status_code == 200


def test_it_listens_on_this_machine_alone(local: Browser) -> None:
    assert local.dashboard.server.bind_addr[0] == "127.0.0.1"


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nobody"),
        pytest.param(bearer(NOBODY), id="a token that has ended"),
        pytest.param(bearer("a b\tc"), id="what is no token"),
        pytest.param({"Authorization": "Basic YWxpY2U6c2VjcmV0"}, id="a password"),
    ],
)
def test_in_a_cluster_nothing_is_shown_to(headers: dict[str, str], path: str, shared: Browser) -> None:
    assert shared.get(path, headers=headers).status_code == 401


def test_everybody_sees_the_namespaces_that_they_may_list(shared: Browser) -> None:
    seen = {
        who: {each.partition(".")[0] for each in names_in(shared.get("/", headers=bearer(who)).text)}
        for who in (ALICE, BOB)
    }

    assert seen == {ALICE: {"shop"}, BOB: {"bank"}}


def test_a_rollout_of_another_namespace_is_refused(shared: Browser) -> None:
    answers = [shared.get(path, headers=bearer(BOB)) for path in (ROLLOUT, f"{ROLLOUT}/events")]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert "bob may not list modeldeployments in the namespace shop" in text_of(answers[0].text)


def test_pods_are_shown_to_who_may_list_pods(api: FakeApi, shared: Browser) -> None:
    api.rights[BOB].add(("list", "modeldeployments", "shop"))

    assert "sentiment-81aa22bb-6b5d-zq0rn" in shared.get(ROLLOUT, headers=bearer(ALICE)).text
    assert "You may not list pods in this namespace" in shared.get(ROLLOUT, headers=bearer(BOB)).text


def test_signing_in_keeps_the_token_where_no_script_reads_it(shared: Browser) -> None:
    answer = shared.submit("/sign-in", "/sign-in", token=ALICE)
    cookie = answer.headers["Set-Cookie"]

    assert answer.status_code == 302
    assert [each in cookie for each in ("HttpOnly", "SameSite=Lax", "Secure")] == [True, True, False]
    assert names_in(shared.get("/").text) == ["shop.recommend", "shop.sentiment", "shop.toxicity"]
    assert ALICE not in shared.get("/").text


def test_behind_tls_the_cookie_is_for_tls_alone(shared: Browser) -> None:
    headers = {"X-Forwarded-Proto": "https", "Sec-Fetch-Site": "same-origin"}
    data = {"token": ALICE, "mark": shared.mark("/sign-in")}

    assert "Secure" in shared.post("/sign-in", data=data, headers=headers, allow_redirects=False).headers["Set-Cookie"]


def test_a_token_that_has_ended_is_refused_in_words(shared: Browser) -> None:
    answer = shared.submit("/sign-in", "/sign-in", token=NOBODY)

    assert answer.status_code == 401
    assert "the API server doesn't take that token; it may have ended" in text_of(answer.text)
    assert NOBODY not in answer.text


def test_a_token_too_long_for_a_cookie_is_refused_in_words(shared: Browser) -> None:
    answer = shared.submit("/sign-in", "/sign-in", token="x" * 5000)

    assert "the token has 5000 characters, and browsers keep no more than 3800" in text_of(answer.text)


def test_a_form_counts_also_after_the_token_was_renewed(api: FakeApi, shared: Browser) -> None:
    api.people |= {"renewed-token-of-alice": "alice"}
    mark = {
        each.partition('"')[0] for each in shared.get("/", headers=bearer(ALICE)).text.split('name="mark" value="')[1:]
    }
    headers = {**bearer("renewed-token-of-alice"), "Sec-Fetch-Site": "same-origin"}

    assert shared.post("/sign-out", data={"mark": mark.pop()}, headers=headers).status_code == 200


def test_signing_out_forgets_the_token(shared: Browser) -> None:
    shared.submit("/sign-in", "/sign-in", token=ALICE)
    shared.submit("/sign-out", "/")

    assert shared.get("/").status_code == 401


@pytest.mark.parametrize(
    ("headers", "mark"),
    [
        pytest.param({"Sec-Fetch-Site": "cross-site"}, "", id="another site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, "", id="a neighbour of the site"),
        pytest.param({"Origin": "https://evil.example"}, "", id="an old browser on another site"),
        pytest.param({}, "", id="who doesn't say"),
        pytest.param({"Sec-Fetch-Site": "same-origin"}, "0" * 64, id="a mark that isn't ours"),
    ],
)
def test_a_form_counts_from_our_own_page_alone(headers: dict[str, str], mark: str, shared: Browser) -> None:
    data = {"token": ALICE, "mark": mark or shared.mark("/sign-in")}

    assert shared.post("/sign-in", data=data, headers=headers).status_code == 403


def test_the_api_server_is_asked_once_about_a_person_who_looks_often(api: FakeApi, shared: Browser) -> None:
    for _ in range(20):
        shared.get("/", headers=bearer(ALICE))
        shared.get("/", headers=bearer(NOBODY))

    assert api.asked["create selfsubjectreviews"] == 1
    assert api.asked["create selfsubjectaccessreviews"] <= 4  # everywhere, and in three namespaces


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_leads_to_no_other_site(target: str, shared: Browser) -> None:
    answer = shared.submit(f"/sign-in?next={target}", "/sign-in", token=ALICE)

    assert answer.headers["Location"] == "/"


def test_every_answer_has_the_headers_of_security(local: Browser) -> None:
    for path in ("/", ROLLOUT, "/nothing", "/static/dashboard.js"):
        headers = local.get(path).headers

        assert "default-src 'none'; script-src 'self'; style-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == ("nosniff", "DENY")


def test_no_page_has_a_script_or_a_style_of_its_own(local: Browser) -> None:
    for path in ("/", ROLLOUT, "/sign-in", "/nothing"):
        page = local.get(path).text

        assert "<style" not in page
        assert ' style="' not in page
        assert " on" not in {part[:3] for part in page.split('"')}
        assert page.count("<script") == page.count('<script src="') == 1
