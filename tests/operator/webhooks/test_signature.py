"""The signature is the Standard Webhooks' own."""

import pytest

from tidegate.errors import CallFailed
from tidegate.webhooks.signature import headers, signing_key

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the specification's example


def test_the_specifications_own_example_comes_out() -> None:
    """https://github.com/standard-webhooks/standard-webhooks: the example that its libraries are tested by."""
    signed = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', signing_key(SECRET))

    assert signed == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_without_a_key_nothing_is_signed() -> None:
    assert headers("one", 1, b"", None) == {"webhook-id": "one", "webhook-timestamp": "1"}


def test_a_key_may_be_any_text_and_the_end_of_its_line_is_no_part_of_it() -> None:
    assert signing_key("correct horse battery\n") == b"correct horse battery"


@pytest.mark.parametrize("text", ["", "short", "whsec_c2hvcnQ=", "whsec_&&&"])
def test_a_key_that_is_too_short_or_unreadable_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(CallFailed) as refused:
        signing_key(text)

    assert not text or text not in str(refused.value)
