"""The readers of a stage's rollout on a real cluster, and the rights of who reads its page."""

import json
from collections.abc import Mapping
from typing import Any

from tests.e2e.stage import Stage
from tests.readers import Page, Readers, Told, command
from tidegate_demo.kubectl import KubectlError

ACCOUNT = "releases"
RIGHTS = (
    {"apiGroups": ["tidegate.dev"], "resources": ["modeldeployments"], "verbs": ["get", "list", "watch", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["controllerrevisions"], "verbs": ["list"]},
)
"""As docs/dashboard.md gives them to somebody who may do everything on the pages in one namespace."""


def readers(stage: Stage, address: str) -> Readers:
    """`address` is the dashboard's."""
    token = someone_who_releases(stage)
    page = Page(address, {"Authorization": f"Bearer {token}"}, stage.namespace)
    return Readers(lambda *each: _kubectl(stage, *each), lambda *each: tidegate(stage, *each), page)


def _kubectl(stage: Stage, *arguments: str) -> Told:
    try:
        return Told(0, stage.run(*arguments), "")
    except KubectlError as error:
        return Told(1, "", str(error))


def tidegate(stage: Stage, *arguments: str) -> Told:
    """A command of `tidegate` in the test's namespace."""
    context = ("--context", stage.kubectl.context) if stage.kubectl.context else ()
    return command(*arguments, "-n", stage.namespace, "--kubeconfig", str(stage.kubectl.kubeconfig), *context)


def someone_who_releases(stage: Stage) -> str:
    """Makes an account with the page's rights in the test's namespace; its token."""
    named = {"name": ACCOUNT, "namespace": stage.namespace}
    group = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", **named}
    made: list[Mapping[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": named, "rules": RIGHTS},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": named,
            "subjects": [subject],
            "roleRef": {"apiGroup": group, "kind": "Role", "name": ACCOUNT},
        },
    ]
    stage.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    return stage.run("create", "token", ACCOUNT, "--duration=1h").strip()
