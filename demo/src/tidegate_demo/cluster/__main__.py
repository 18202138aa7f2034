"""The demo's cluster by hand: `python -m tidegate_demo.cluster up|down|status|audit|build|images|helm`."""

import argparse
import sys
from collections.abc import Callable, Sequence

from tidegate_demo.cluster import node
from tidegate_demo.cluster.contexts import DemoCluster, OneNode, build_images, choose, ensure_prometheus
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import Layout
from tidegate_demo.cluster.programs import HELM, obtain
from tidegate_demo.cluster.progress import say


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    """Exit codes: 0 done, 1 not so (down, or something is left), 2 wrong usage, 3 could not be done."""
    parser = argparse.ArgumentParser(prog="python -m tidegate_demo.cluster", description=__doc__)
    parser.add_argument(
        "command", choices=sorted(COMMANDS), help="; ".join(f"{k}: {v[1]}" for k, v in COMMANDS.items())
    )
    command, _ = COMMANDS[parser.parse_args(list(arguments)).command]
    try:
        return command(choose())
    except ClusterError as error:
        say(str(error))
        return 3
    except KeyboardInterrupt:
        say("Interrupted. `up` continues from here; `down` removes what is there.")
        return 130


def up(cluster: DemoCluster) -> int:
    cluster.up()
    cluster.load_images()
    address = ensure_prometheus(cluster)
    say(f"{cluster.name} is up. Prometheus is at {address} in the cluster. To look around:")
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    return 0


def load_images(cluster: DemoCluster) -> int:
    for name, digest in cluster.load_images().items():
        print(f"{name} {digest}")
    return 0


def build(_: DemoCluster) -> int:
    for name, place in build_images().items():
        print(f"{name} {place}")
    return 0


def helm(_: DemoCluster) -> int:
    print(obtain(HELM))
    return 0


def down(cluster: DemoCluster) -> int:
    cluster.down()
    if not isinstance(cluster, OneNode):
        return 0
    return audit(cluster)


def status(cluster: DemoCluster) -> int:
    if not isinstance(cluster, OneNode):
        cluster.up()
        print(f"{cluster.name} answers")
        return 0
    if node.is_up(cluster.layout):
        print(f"{cluster.name} is up: export KUBECONFIG={cluster.kubeconfig}")
        return 0
    print(f"{cluster.name} is down")
    return 1


def audit(_: DemoCluster) -> int:
    left = node.audit(Layout())
    for line in left:
        print(line)
    say(f"{len(left)} traces of the node are on this machine" if left else "no trace of the node is on this machine")
    return 1 if left else 0


COMMANDS: dict[str, tuple[Callable[[DemoCluster], int], str]] = {
    "up": (up, "start it, load the images, start Prometheus"),
    "down": (down, "remove it"),
    "status": (status, "whether it is up"),
    "audit": (audit, "list what of it is on this machine"),
    "build": (build, "build our images, without a cluster"),
    "images": (load_images, "build and load the images"),
    "helm": (helm, "where Helm is; it is downloaded or built where it is missing"),
}

if __name__ == "__main__":
    sys.exit(main())
