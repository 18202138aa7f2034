"""What a person sees: the list, one rollout, and what is said where there is nothing or nobody answers."""

import re

import pytest

from tests.conftest import until
from tests.operator.dashboard.conftest import Begin, Browser
from tests.operator.dashboard.examples import SENTENCE, canary, live
from tests.operator.dashboard.fake_api import FakeApi

ROLLOUT = "/rollouts/shop/sentiment"


def text_of(page: str) -> str:
    """Its words, without the tags."""
    words = re.sub(r"<[^>]+>", " ", page).replace("&#39;", "'")
    return re.sub(r"\s+", " ", words)


def names_in(page: str) -> list[str]:
    return re.findall(r'<tr id="row\.([a-z0-9.-]+)"', page)


def test_the_list_has_every_rollout_and_what_needs_somebody_first(local: Browser) -> None:
    page = local.get("/").text

    assert names_in(page)[:4] == ["search.ranking", "shop.recommend", "shop.sentiment", "shop.toxicity"]
    assert len(names_in(page)) == 13
    assert "13 of 13 rollouts" in text_of(page)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("q=toxi", ["shop.toxicity"], id="a word of the name"),
        pytest.param("q=rolled+back+6.3%25", ["shop.recommend"], id="words of the sentence"),
        pytest.param(
            "namespace=shop&sort=name", ["shop.recommend", "shop.sentiment", "shop.toxicity"], id="a namespace"
        ),
        pytest.param("state=attention", ["search.ranking", "shop.recommend"], id="what needs somebody"),
        pytest.param("state=moving&sort=namespace", ["shop.sentiment", "shop.toxicity"], id="what is under way"),
        pytest.param("q=nothing-like-that", [], id="nothing"),
    ],
)
def test_the_list_is_narrowed_to(query: str, expected: list[str], local: Browser) -> None:
    assert names_in(local.get(f"/?{query}").text) == expected


@pytest.mark.parametrize(
    "query", ["page=0", "page=999999999999999", "page=x", "sort=nothing", "state=%00", "q=" + "x" * 5000]
)
def test_arguments_that_make_no_sense_are_left_out(query: str, local: Browser) -> None:
    assert local.get(f"/?{query}").status_code == 200


def test_two_hundred_rollouts_are_on_a_page_and_the_rest_on_the_next(api: FakeApi, begin: Begin) -> None:
    for number in range(250):
        api.put("modeldeployments", live("many", f"m{number:03}"))
    browser = begin().sign_in()

    first, second = (browser.get(f"/?namespace=many&sort=name&page={page}").text for page in (1, 2))

    assert [len(names_in(first)), len(names_in(second))] == [200, 50]
    assert names_in(second)[0] == "many.m200"


def test_a_rollouts_page_has_the_operators_sentence_word_for_word(local: Browser) -> None:
    page = local.get(ROLLOUT).text

    assert f'class="sentence">{SENTENCE.replace(chr(39), "&#39;")}</p>' in page


def test_a_rollouts_page_shows_weights_evidence_pods_and_history(local: Browser) -> None:
    words = text_of(local.get(ROLLOUT).text)

    for expected in (
        "Wanted 25%",
        "Applied by the routers 25%",
        "Observed 24.8%",
        "To roll back 0.4 (threshold 100)",
        "To promote 2.6 (threshold 3.3)",
        "sentiment-81aa22bb-6b5d-zq0rn candidate CrashLoopBackOff container server ended with out of memory",
        "Promoted sentiment-5d0c77e1 100% 216,900 412 (0.19%) EvidenceAcceptable",
        "Its traffic was seen to be zero after 0.8 s.",
    ):
        assert expected in words


def test_no_password_reaches_a_page(local: Browser) -> None:
    pages = local.get("/").text + local.get(ROLLOUT).text

    assert "https://models.example.com/sentiment/8.onnx" in pages
    assert "hunter2" not in pages


def test_what_a_cluster_says_is_text_and_no_markup(api: FakeApi, begin: Begin) -> None:
    manifest = canary()
    manifest["status"]["message"] = "<script>alert(1)</script>"
    manifest["status"]["analysis"]["message"] = '"><img src=x>'
    api.put("modeldeployments", manifest)

    page = begin().sign_in().get(ROLLOUT).text

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "<img" not in page


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({}, id="none yet"),
        pytest.param(
            {"phase": "Canary", "rollout": {"step": 1}, "history": [{}], "conditions": [{"type": "Ready"}]},
            id="an older operator's",
        ),
        pytest.param({"analysis": None, "traffic": None, "stable": "x", "history": None}, id="of another shape"),
    ],
)
def test_a_status_that_lacks_something_is_shown_as_far_as_it_goes(
    status: dict[str, object], api: FakeApi, begin: Begin
) -> None:
    api.put("modeldeployments", {**canary(), "status": status})
    browser = begin().sign_in()

    assert [browser.get(path).status_code for path in ("/", ROLLOUT)] == [200, 200]


def test_there_is_a_word_for_a_rollout_that_isnt_there(local: Browser) -> None:
    answer = local.get("/rollouts/shop/nothing")

    assert answer.status_code == 404
    assert "there is no ModelDeployment shop/nothing" in text_of(answer.text)


def test_a_page_says_that_the_api_server_is_away_and_goes_on_when_it_is_back(api: FakeApi, local: Browser) -> None:
    api.stop()
    until(lambda: "The API server doesn't answer" in text_of(local.get(ROLLOUT).text))
    assert SENTENCE in text_of(local.get(ROLLOUT).text)

    api.start()
    until(lambda: "The API server doesn't answer" not in text_of(local.get(ROLLOUT).text))
    api.put("modeldeployments", live("shop", "newcomer"))
    until(lambda: "shop.newcomer" in names_in(local.get("/").text))


def test_who_may_not_list_is_told_so(api: FakeApi, begin: Begin) -> None:
    api.forbids_lists = True
    browser = begin(complete=False).sign_in()

    until(lambda: "The API server refuses what is asked of it" in text_of(browser.get("/").text))
    assert "cannot list modeldeployments" in text_of(browser.get("/").text)


def test_an_empty_cluster_says_what_to_do(api: FakeApi, begin: Begin) -> None:
    for manifest in api.listed("modeldeployments", None)["items"]:
        api.delete("modeldeployments", manifest["metadata"]["namespace"], manifest["metadata"]["name"])

    assert "There is no ModelDeployment that you may see" in text_of(begin().sign_in().get("/").text)
