"""How many requests are kept, and which one goes for a new one."""

import pytest

from tidegate_server.errors import BadSetting
from tidegate_server.request_samples.samples import MAX_BODY_BYTES, RequestSamples, Sample
from tidegate_server.request_samples.settings import SampleSettings


def a_sample(body: bytes) -> Sample:
    return Sample("/predict", "", "", body)


def test_a_body_of_any_size_up_to_the_limit_is_kept() -> None:
    samples = RequestSamples(10, 2**20)
    for size in (0, 1, MAX_BODY_BYTES, MAX_BODY_BYTES + 1):
        samples.offer(a_sample(b"0" * size))

    assert [len(each.body) for each in samples.take(10)] == [MAX_BODY_BYTES, 1]


@pytest.mark.parametrize(
    ("keep", "max_bytes"), [pytest.param(3, 1000, id="by number"), pytest.param(100, 3, id="by bytes")]
)
def test_a_new_one_takes_the_place_of_one_that_is_drawn(keep: int, max_bytes: int) -> None:
    samples = RequestSamples(keep, max_bytes, draw=lambda n: 0)
    for body in (b"a", b"b", b"c", b"d", b"e"):
        samples.offer(a_sample(body))

    assert sorted(each.body for each in samples.take(100)) == [b"b", b"d", b"e"]


def test_what_is_taken_is_gone_and_makes_room() -> None:
    samples = RequestSamples(100, 3)
    for body in (b"a", b"b", b"c"):
        samples.offer(a_sample(body))

    assert [each.body for each in samples.take(2)] == [b"c", b"b"]
    samples.offer(a_sample(b"dd"))
    assert [each.body for each in samples.take(9)] == [b"dd", b"a"]
    assert samples.take(9) == []


def test_a_body_that_no_room_is_for_drops_no_other() -> None:
    samples = RequestSamples(100, 3)
    samples.offer(a_sample(b"abc"))
    samples.offer(a_sample(b"defg"))

    assert [each.body for each in samples.take(9)] == [b"abc"]


def test_off_unless_asked_for() -> None:
    assert SampleSettings.from_env({}) is None
    assert SampleSettings.from_env({"TIDEGATE_REQUEST_SAMPLES": "0"}) is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param(
            "5",
            "TIDEGATE_REQUEST_SAMPLES is set and TIDEGATE_REQUEST_SAMPLES_KEY_FILE isn't: set it to a file with the "
            "key that reads them",
            id="without a key",
        ),
        pytest.param(
            "many", "TIDEGATE_REQUEST_SAMPLES is 'many'; it must be a whole number from 0 to 5000", id="no number"
        ),
    ],
)
def test_settings_that_make_no_sense(given: str, sentence: str) -> None:
    with pytest.raises(BadSetting) as caught:
        SampleSettings.from_env({"TIDEGATE_REQUEST_SAMPLES": given})

    assert str(caught.value) == sentence
