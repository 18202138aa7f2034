"""The API server that a command reads from: kubectl's own configuration, or the pod's."""

from pathlib import Path

import kubernetes

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import KubernetesApi, load_config

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def connect(kubeconfig: str | None, context: str | None) -> KubernetesApi:
    """Raises ClusterUnavailable where nothing says which cluster is meant."""
    try:
        if kubeconfig or context:
            kubernetes.config.load_kube_config(config_file=kubeconfig, context=context)  # type: ignore[no-untyped-call]
        else:
            load_config()
    except (kubernetes.config.ConfigException, OSError) as error:
        raise ClusterUnavailable(f"no cluster: {error}; name one with --kubeconfig or --context") from error
    return KubernetesApi(connections=1)


def default_namespace(kubeconfig: str | None, context: str | None) -> str:
    """As kubectl has it: the context's namespace, in a pod the pod's, else `default`."""
    if POD_NAMESPACE.is_file() and not (kubeconfig or context):
        return POD_NAMESPACE.read_text().strip()
    try:
        listed = kubernetes.config.list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
    except (kubernetes.config.ConfigException, OSError):
        return "default"
    contexts, active = listed
    chosen = next((each for each in contexts if each["name"] == context), active) if context else active
    return str(chosen["context"].get("namespace") or "default")
