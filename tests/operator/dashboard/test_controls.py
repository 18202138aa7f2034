"""Controls on a page: what will happen is said first, it is done in the person's name, and nothing else is."""

from typing import Any

import pytest

from tests.operator.dashboard.conftest import Begin, Browser
from tests.operator.dashboard.examples import canary, live, paused, rolled_back
from tests.operator.dashboard.fake_api import FakeApi
from tests.operator.dashboard.test_pages import ROLLOUT, text_of
from tidegate.cli.common.errors import NotDone
from tidegate.dashboard.controls import Action, Asked, offered, request
from tidegate.view.rollout_view import RolloutView

CONTROLS = f"{ROLLOUT}/controls"
ALICE, BOB = "token-of-alice", "token-of-bob"
CANDIDATE = "sentiment-81aa22bb"
READS = {(verb, "modeldeployments", "shop") for verb in ("get", "list", "watch")}
CHANGES = {("patch", "modeldeployments", "shop"), ("list", "events", "shop"), ("watch", "events", "shop")}


def as_the_operator_does(api: FakeApi, changed: dict[str, Any]) -> None:
    """Takes every annotation away, and says so in an Event."""
    metadata = changed["metadata"]
    asked = {key: text for key, text in metadata.get("annotations", {}).items() if key.startswith("tidegate.dev/")}
    if not asked:
        return
    for number, (key, text) in enumerate(asked.items()):
        event = {"metadata": {"namespace": "shop", "name": f"event-{number}"}}
        refused = text.startswith("sentiment-0")
        message = f"{key.rpartition('/')[2]} of {text}"
        api.put("events", {**event, "reason": "ControlRefused" if refused else "Aborted", "message": message})
    api.put("modeldeployments", {**changed, "metadata": {**metadata, "annotations": {}}})


@pytest.fixture
def operator(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    monkeypatch.setattr("tidegate.dashboard.asking.ANSWER_SECONDS", 1.0)
    monkeypatch.setattr("tidegate.cli.control.answer.GRACE", 0.1)
    api.reactions.append(as_the_operator_does)
    return api


@pytest.fixture
def shared(operator: FakeApi, begin: Begin) -> Browser:
    """As the chart runs it with controls. Alice may change the shop's models, Bob may read them."""
    operator.people |= {ALICE: "alice", BOB: "bob"}
    operator.rights = {ALICE: READS | CHANGES, BOB: READS}
    return begin(in_cluster=True)


def signed_in(browser: Browser, token: str) -> Browser:
    assert browser.submit("/sign-in", "/sign-in", token=token).status_code == 302
    return browser


def form(action: str, **fields: str) -> dict[str, str]:
    return {
        "path": f"{CONTROLS}/{action}",
        "page": f"{CONTROLS}/{action}",
        "revision": CANDIDATE,
        "step": "2",
        **fields,
    }


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        pytest.param(canary(), "abort pause skip promote promote-full", id="under way"),
        pytest.param(paused(), "abort resume skip promote promote-full", id="paused"),
        pytest.param(live("shop", "m"), "pause restart", id="idle"),
        pytest.param(rolled_back(), "pause retry restart", id="rolled back"),
        pytest.param({**live("shop", "m"), "status": {}}, "pause", id="new"),
    ],
)
def test_offered_is_what_makes_sense(manifest: dict[str, Any], expected: str) -> None:
    assert " ".join(offered(RolloutView.of(manifest))) == expected


def test_approve_is_offered_at_a_step_that_waits_for_it() -> None:
    manifest = canary()
    manifest["spec"]["strategy"]["canary"]["steps"][1] = {"weight": 25, "approval": {}}

    assert Action.APPROVE in offered(RolloutView.of(manifest))


@pytest.mark.parametrize(
    ("strategy", "step", "is_offered"),
    [
        pytest.param({"blueGreen": {"approval": "Required"}}, 1, True, id="before a switch that asks for it"),
        pytest.param({"blueGreen": {"approval": "Required"}}, 2, False, id="not after the switch"),
        pytest.param({"blueGreen": {}}, 1, False, id="not before a switch that asks for none"),
        pytest.param({"canary": {"steps": [{"weight": 5, "pause": {}}]}}, 1, True, id="at a pause without an end"),
        pytest.param(
            {"canary": {"steps": [{"weight": 5, "pause": {"duration": "1m"}}]}}, 1, False, id="not at one that ends"
        ),
    ],
)
def test_approve_is_offered_where_a_step_ends_no_sooner(strategy: dict[str, Any], step: int, is_offered: bool) -> None:
    manifest = canary()
    manifest["spec"]["strategy"] = strategy
    manifest["status"]["rollout"]["step"] = step

    assert (Action.APPROVE in offered(RolloutView.of(manifest))) == is_offered


@pytest.mark.parametrize("action", list(Action))
def test_every_action_is_about_what_its_reader_saw(action: Action) -> None:
    view = RolloutView.of(canary())
    late = Asked(action, CANDIDATE, "1")

    with pytest.raises(NotDone, match=r"the page was about sentiment-81aa22bb at step 1, and shop/sentiment is at "):
        request(late, view, {}, [], "alice")


def test_the_page_has_a_link_for_each_control(local: Browser) -> None:
    page = local.get(ROLLOUT).text

    assert [action.value for action in Action if f'href="{CONTROLS}/{action}"' in page] == [
        "abort", "pause", "skip", "promote", "promote-full",
    ]  # fmt: skip


def test_before_anything_is_asked_for_it_says_what_will_happen(api: FakeApi, local: Browser) -> None:
    words = text_of(local.get(f"{CONTROLS}/abort").text)

    assert "What will happen: all requests go to sentiment-5d0c77e1 now; sentiment-81aa22bb isn't tried again" in words
    assert "kubectl -n shop annotate mdep/sentiment" in words
    assert api.patches == []


def test_an_abort_is_an_annotation_with_who_and_why_and_the_operators_answer_is_shown(
    operator: FakeApi, shared: Browser
) -> None:
    answer = signed_in(shared, ALICE).submit(**form("abort", why="looks odd"))

    assert answer.status_code == 303
    ((who, what, patch),) = operator.patches
    assert (who, what) == ("alice", "shop/sentiment")
    assert patch["metadata"]["annotations"] == {"tidegate.dev/abort": f"{CANDIDATE} by alice: looks odd"}
    page = text_of(shared.get(answer.headers["Location"]).text)
    assert f"abort of {CANDIDATE} by alice: looks odd" in page
    assert "looks odd" not in text_of(shared.get(answer.headers["Location"]).text)


def test_a_pause_is_a_change_of_the_spec(operator: FakeApi, shared: Browser) -> None:
    signed_in(shared, ALICE).submit(**form("pause", why="night"))

    ((_, _, patch),) = operator.patches
    assert (patch["spec"], patch["metadata"]["annotations"]) == (
        {"paused": True},
        {"kubernetes.io/change-cause": "paused by alice: night"},
    )


def test_who_may_not_change_it_is_refused_by_the_api_server_itself(operator: FakeApi, shared: Browser) -> None:
    answer = signed_in(shared, BOB).submit(**form("abort"))

    assert answer.status_code == 409
    assert "Nothing was changed shop/sentiment can't be changed: you have no right to" in text_of(answer.text)
    assert operator.patches == []


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"revision": "sentiment-00000000"}, id="another revision"),
        pytest.param({"step": "1"}, id="another step"),
        pytest.param({"step": ""}, id="no step"),
    ],
)
def test_what_was_asked_of_another_state_changes_nothing(
    changed: dict[str, str], operator: FakeApi, local: Browser
) -> None:
    answer = local.submit(**form("promote", **changed))

    assert answer.status_code == 409
    assert "look at it again" in text_of(answer.text)
    assert operator.patches == []


def test_two_people_at_once_ask_once(api: FakeApi, local: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.dashboard.asking.ANSWER_SECONDS", 0.1)
    mark = local.mark(f"{CONTROLS}/abort")
    headers, data = {"Sec-Fetch-Site": "same-origin"}, {"mark": mark, "revision": CANDIDATE, "step": "2"}
    answers = [local.post(f"{CONTROLS}/abort", data=data, headers=headers, allow_redirects=False) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 409]
    assert "has been asked already, and the operator hasn't answered yet" in text_of(answers[1].text)
    assert len(api.patches) == 1
    assert "Asked for, and not answered yet: abort: sentiment-81aa22bb" in text_of(local.get(ROLLOUT).text)


def test_a_form_of_another_site_changes_nothing(operator: FakeApi, local: Browser) -> None:
    data = {"mark": local.mark(f"{CONTROLS}/abort"), "revision": CANDIDATE, "step": "2"}
    cross = local.post(f"{CONTROLS}/abort", data=data, headers={"Sec-Fetch-Site": "cross-site"})
    unmarked = local.post(f"{CONTROLS}/abort", data={**data, "mark": ""}, headers={"Sec-Fetch-Site": "same-origin"})

    assert [cross.status_code, unmarked.status_code] == [403, 403]
    assert operator.patches == []


def test_a_read_only_dashboard_has_no_controls_at_all(operator: FakeApi, begin: Begin) -> None:
    browser = begin(controls=False).sign_in()

    assert "/controls/" not in browser.get(ROLLOUT).text
    assert browser.get(f"{CONTROLS}/abort").status_code == 404
    assert browser.post(f"{CONTROLS}/abort").status_code == 404


def test_without_the_api_server_nothing_is_asked_for_and_that_is_said(api: FakeApi, local: Browser) -> None:
    api.stop()
    answer = local.get(f"{CONTROLS}/abort")

    assert answer.status_code == 409
    assert "the API server gives no answer" in text_of(answer.text)


def test_there_is_a_word_for_a_control_that_isnt_one(local: Browser) -> None:
    assert local.get(f"{CONTROLS}/explode").status_code == 404
