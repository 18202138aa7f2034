"""Which cluster and namespace a command is about, as kubectl's options say it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Where:
    """None for what the kubeconfig says."""

    namespace: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    all_namespaces: bool = False
