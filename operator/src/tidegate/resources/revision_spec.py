"""From a revision's snapshot back to the spec that asks for it: what an undo writes. Pure."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tidegate.model.agreement import RequestSamples
from tidegate.model.notification import Format
from tidegate.model.revision import Snapshot
from tidegate.model.spec import Batching, Variables

PARTS = ("model", "server")
"""Of a spec: whatever makes a revision lies in these."""
REGISTRY_TAGS = Format.MODEL_VERSION_TAGS.value


def spec_of(revision: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """`model` and `server` as a spec has them, of a ControllerRevision's name and data; without what is a default.

    Where it has content of ConfigMaps or Secrets, that is asked for by its name, as they may have another by now.
    Raises KeyError, TypeError or ValueError on data that no operator wrote.
    """
    snapshot = Snapshot.parse(data)
    return {"model": _model(snapshot), "server": _server(revision, snapshot)}


def without_contradictions(spec: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch of what can't stand beside a revision's `model` and `server`: the API server refuses the two.

    What is newer than the revision must not be what keeps people from going back to it.
    """
    change: dict[str, Any] = {}
    if "agreement" in spec.get("analysis", {}) and "requestSamples" not in wanted["server"]:
        change["analysis"] = {"agreement": None}
    if not wanted["model"]["uri"].startswith("models:/"):
        kept = {
            "gates": [each for each in spec.get("gates", ()) if "registry" not in each],
            "notifications": [each for each in spec.get("notifications", ()) if each.get("format") != REGISTRY_TAGS],
        }
        change |= {part: each for part, each in kept.items() if len(each) != len(spec.get(part, ()))}
    return change


def _model(snapshot: Snapshot) -> dict[str, Any]:
    model = snapshot.model
    return _given(
        uri=model.uri,
        sha256=model.sha256,
        credentialsSecret=model.credentials_secret,
        serviceAccount=model.service_account,
        fetchEnv=_variables(model.fetch_env),
        signedBy=model.signed_by.to_spec() if model.signed_by else None,
        delivery=model.delivery.unless_default,
    )


def _server(revision: str, snapshot: Snapshot) -> dict[str, Any]:
    server = snapshot.server
    given = _given(
        image=server.image,
        threads=server.threads,
        batching=_batching(server.batching),
        auth=_given(apiKeysSecret=server.api_keys_secret),
        env=[*(dict(each) for each in server.env_refs), *_variables(server.env)],
        envFrom=[dict(each) for each in server.env_from],
        requestSamples=_samples(server.request_samples),
        configRevision=revision if server.config else None,
        podTemplate=dict(server.pod_template),
    )
    # Named though it may be empty: the default would be another revision.
    return {**given, "resources": {kind: dict(amounts) for kind, amounts in server.resources.items()}}


def _samples(samples: RequestSamples | None) -> dict[str, Any]:
    return {"keep": samples.keep, "keySecret": samples.key_secret} if samples else {}


def _batching(batching: Batching) -> dict[str, Any]:
    rows = batching.max_rows if batching.max_rows != Batching().max_rows else None
    delay = None if batching.max_delay is None else f"{batching.max_delay // timedelta(milliseconds=1)}ms"
    return _given(maxRows=rows, maxDelay=delay)


def _variables(variables: Variables) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in variables]


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def replacing(current: Any, wanted: Any) -> Any:
    """The merge patch (RFC 7396) that makes `current` into `wanted`: what is only in `current` goes."""
    if not isinstance(current, Mapping) or not isinstance(wanted, Mapping):
        return wanted
    gone = {name: None for name in current if name not in wanted}
    changed = {name: replacing(current.get(name), value) for name, value in wanted.items()}
    return {**gone, **{name: value for name, value in changed.items() if value != {} or name not in current}}
