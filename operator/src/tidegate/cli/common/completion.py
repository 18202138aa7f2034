"""What a shell is told while a command line is written: scripts, and the names of models."""

from collections.abc import Sequence

from tidegate.cli.common.kubeconfig import connect, default_namespace
from tidegate.errors import TidegateError
from tidegate.kube.api import MODEL_DEPLOYMENTS

MOST = 500
"""Names of one answer."""
OPTIONS = {"-n": "namespace", "--namespace": "namespace", "--kubeconfig": "kubeconfig", "--context": "context"}


def names_in(arguments: Sequence[str], incomplete: str) -> list[str]:
    """The models that may be meant; none where the cluster can't be asked, as nobody could read why."""
    given = given_in(arguments)
    kubeconfig, context = given.get("kubeconfig"), given.get("context")
    try:
        namespace = given.get("namespace") or default_namespace(kubeconfig, context)
        listed = connect(kubeconfig, context).list(MODEL_DEPLOYMENTS, namespace, None, limit=MOST)
    except TidegateError:
        return []
    names = (each["metadata"]["name"] for each in listed.get("items") or ())
    return sorted(name for name in names if name.startswith(incomplete))


def given_in(arguments: Sequence[str]) -> dict[str, str]:
    """The options that say which cluster and namespace, of a command line that isn't whole yet."""
    found: dict[str, str] = {}
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, joined, text = option.partition("=")
        if kind := OPTIONS.get(name):
            found[kind] = text if joined else value
    return {kind: value for kind, value in found.items() if value}


KUBECTL_SCRIPT = """\
#!/usr/bin/env sh
# Save as kubectl_complete-tidegate somewhere on PATH, executable: kubectl runs it for `kubectl tidegate <TAB>`.
export COMP_WORDS="tidegate $*" COMP_CWORD="$#"
{variable}=complete_bash tidegate
echo :4 # no names of files
"""


def script(shell: str, variable: str) -> str:
    """What that shell reads; `variable` is the one by which it asks."""
    if shell == "kubectl":
        return KUBECTL_SCRIPT.format(variable=variable)
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name="tidegate", complete_var=variable, shell=shell)
