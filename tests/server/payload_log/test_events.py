"""What goes over the wire is what the CloudEvents SDK understands, with KServe's types."""

import json
from dataclasses import replace

import pytest

from tidegate_server.errors import BadSetting
from tidegate_server.payload_log.events import Event, HttpMessage, Origin, messages
from tidegate_server.payload_log.settings import LogSettings

ORIGIN = Origin("shop", "sentiment", "sentiment-6f9c")
EVENT = Event("request", "7", 1764410000.25, "application/json", b'{"inputs": [[1.0]]}', 19, traceparent="00-a-b-01")
SAID = {
    "specversion": "1.0",
    "type": "org.kubeflow.serving.inference.request",
    "source": "/tidegate/shop/sentiment/sentiment-6f9c/request",
    "id": "7",
    "time": "2025-11-29T09:53:20.250000+00:00",
    "inferenceservicename": "sentiment",
    "namespace": "shop",
    "component": "predictor",
    "revision": "sentiment-6f9c",
}


def test_a_binary_event_is_the_body_with_headers() -> None:
    headers = {f"ce-{name}": value for name, value in {**SAID, "traceparent": "00-a-b-01"}.items()}
    assert messages([EVENT], ORIGIN, "binary") == [
        HttpMessage({**headers, "content-type": "application/json"}, b'{"inputs": [[1.0]]}')
    ]


def test_words_of_a_client_are_percent_encoded_in_headers() -> None:
    (message,) = messages([replace(EVENT, id='a "b" 100%')], ORIGIN, "binary")
    assert message.headers["ce-id"] == "a%20%22b%22%20100%25"


def test_a_batch_is_a_list_of_events_with_json_as_it_came() -> None:
    other = replace(EVENT, kind="response", traceparent="")
    (message,) = messages([EVENT, other], ORIGIN, "batch")
    assert message.headers == {"content-type": "application/cloudevents-batch+json"}
    data = {"datacontenttype": "application/json", "data": {"inputs": [[1.0]]}}
    assert json.loads(message.body) == [
        {**SAID, "traceparent": "00-a-b-01", **data},
        {**SAID, "type": "org.kubeflow.serving.inference.response", "source": f"{SAID['source'][:-7]}response", **data},
    ]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        pytest.param(
            replace(EVENT, body=b'{"inputs": [NaN]}'),
            {"datacontenttype": "application/json", "data_base64": "eyJpbnB1dHMiOiBbTmFOXX0="},
            id="NaN, which JSON doesn't have",
        ),
        pytest.param(
            replace(EVENT, body=b"\x00\x01", content_type="application/octet-stream", json_bytes="1"),
            {"jsonbytes": "1", "datacontenttype": "application/octet-stream", "data_base64": "AAE="},
            id="binary tensors",
        ),
        pytest.param(
            replace(EVENT, body=b"\x1f\x8b", encoding="gzip"),
            {"contentencoding": "gzip", "datacontenttype": "application/json", "data_base64": "H4s="},
            id="a compressed body",
        ),
        pytest.param(replace(EVENT, body=None, size=70_000), {"omittedbytes": "70000"}, id="a body that is too large"),
    ],
)
def test_what_is_no_json_is_carried_all_the_same(event: Event, said: dict[str, str]) -> None:
    (message,) = messages([replace(event, traceparent="")], ORIGIN, "structured")
    assert (message.headers, json.loads(message.body)) == (
        {"content-type": "application/cloudevents+json"},
        {**SAID, **said},
    )


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        (
            {"TIDEGATE_LOG_SINK": "ftp://sink/"},
            "TIDEGATE_LOG_SINK isn't an address; it must be http://HOST/PATH or https://HOST/PATH",
        ),
        (
            {"TIDEGATE_LOG_SINK": "http://sink:70000/"},
            "TIDEGATE_LOG_SINK isn't an address; it must be http://HOST/PATH or https://HOST/PATH",
        ),
        (
            {"TIDEGATE_LOG_SINK": "https://me:secret@sink/"},
            "TIDEGATE_LOG_SINK holds a user or a password, and the sink is asked without; take it out",
        ),
        (
            {"TIDEGATE_LOG_SINK": "http://sink", "TIDEGATE_LOG_MODE": "both"},
            "TIDEGATE_LOG_MODE is 'both'; it must be one of all, request, response",
        ),
        (
            {"TIDEGATE_LOG_SINK": "http://sink", "TIDEGATE_LOG_RATIO": "2"},
            "TIDEGATE_LOG_RATIO is '2'; it must be a share, from 0 to 1",
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadSetting) as refused:
        LogSettings.from_env(environ)
    assert str(refused.value) == sentence


def test_nothing_is_logged_without_a_sink() -> None:
    assert LogSettings.from_env({}) is None
    assert LogSettings.from_env({"TIDEGATE_LOG_SINK": "http://sink/a?b=c"}) == LogSettings("http://sink/a?b=c")
