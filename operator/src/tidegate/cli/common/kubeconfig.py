"""The API server that a command reads from: kubectl's own configuration, or the pod's."""

import os
from collections.abc import Mapping
from typing import Any

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import KubernetesApi
from tidegate.kube.kubeconfig import KubeconfigAccess, find_context


def connect(kubeconfig: str | None, context: str | None, environ: Mapping[str, str] = os.environ) -> KubernetesApi:
    """Raises ClusterUnavailable where nothing says which cluster is meant."""
    found = find_context(kubeconfig, context, environ)
    if _needs_generated_client(found.user):
        return _by_generated_client(kubeconfig, context)
    return KubernetesApi(access=KubeconfigAccess(found, environ))


def default_namespace(kubeconfig: str | None, context: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """As kubectl has it: the context's namespace, in a pod the pod's, else `default`."""
    try:
        return find_context(kubeconfig, context, environ).namespace
    except ClusterUnavailable:
        return "default"


def _needs_generated_client(user: Mapping[str, Any]) -> bool:
    """For a log-in that refreshes tokens of OIDC; kubectl knows no other auth-provider any more."""
    return bool(user.get("auth-provider")) and not (user.get("exec") or user.get("token"))


def _by_generated_client(kubeconfig: str | None, context: str | None) -> KubernetesApi:
    import kubernetes

    try:
        kubernetes.config.load_kube_config(config_file=kubeconfig, context=context)  # type: ignore[no-untyped-call]
    except (kubernetes.config.ConfigException, OSError) as error:
        raise ClusterUnavailable(f"no cluster: {error}; name one with --kubeconfig or --context") from error
    return KubernetesApi(connections=4)
