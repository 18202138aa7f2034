"""The demo: `tidegate-demo up` brings everything up and tells the story; `story` tells it again; `down` removes it all.

Exit codes: 0 the story kept its promises, 1 it didn't, 2 wrong usage, 3 something needed is missing, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tidegate_demo import files, models, place, report, story
from tidegate_demo import history as prometheus_history
from tidegate_demo.cluster import prometheus
from tidegate_demo.cluster.contexts import DemoCluster, choose, ensure_prometheus
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import cache_folder
from tidegate_demo.history import HistoryUnavailableError, Span
from tidegate_demo.kubectl import Kubectl, KubectlError
from tidegate_demo.models import Models
from tidegate_demo.story import Story, Telling
from tidegate_demo.teller import teller
from tidegate_demo.watch import Sight

KEPT, BROKEN, MISSING, INTERRUPTED = 0, 1, 3, 130
SPAN_LABELS = {
    "v1": "v1\nlive",
    "v2": "v2 canary\npromoted",
    "v3": "v3 errors\nrolled back",
    "v4": "v4 slow\nrolled back",
    "v5": "v5 blue-green\nswitched",
    "v6": "v6 canary, operator killed\npromoted",
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(sys.argv[1:] if arguments is None else arguments)
    console = Console(highlight=False)
    cluster = choose()
    try:
        if options.command == "down":
            cluster.down()
            return KEPT
        if options.command == "up":
            up(cluster, console)
        return tell(cluster, console, options.report, options.pictures)
    except (ClusterError, KubectlError) as error:
        console.print(str(error), style="bold red", markup=False)
        return MISSING
    except KeyboardInterrupt:
        _say_how_to_go_on(cluster, console)
        return INTERRUPTED


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tidegate-demo", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "command",
        choices=("up", "story", "down"),
        help="up: cluster, images, Prometheus, chart, story; story: the story on what is up; down: remove every trace",
    )
    parser.add_argument("--report", type=Path, default=place.RESULTS / "report.json", help="where the report goes")
    parser.add_argument("--pictures", type=Path, default=place.RESULTS, help="the folder the picture goes to")
    return parser.parse_args(arguments)


def up(cluster: DemoCluster, console: Console) -> None:
    """Each step is done again without harm, so that an interrupted run can be taken up by running it again."""
    console.print(f"Tidegate's demo on {cluster.name}", style="bold", markup=False)
    cluster.up()
    build = place.build_of(cluster.load_images())
    place.install_chart(cluster, ensure_prometheus(cluster, place.SCRAPE_SECONDS), build)


def tell(cluster: DemoCluster, console: Console, report_file: Path, pictures: Path) -> int:
    folder = cache_folder() / "demo"
    prepared = models.prepare(folder, say=console.print)
    for model in prepared.versions.values():
        console.print(models.describe(model), markup=False)
    telling = _tell(cluster, console, prepared, folder)
    made = report.report_on(telling, prepared)
    report.write(report_file, made, telling, prepared)
    console.print(report.table(made))
    for line in report.lines(made):
        console.print(line, markup=False)
    console.print(f"report: {report_file}", markup=False)
    if telling.interrupted:
        _say_how_to_go_on(cluster, console)
        return INTERRUPTED
    _draw(cluster, console, telling, pictures)
    return KEPT if made.passed else BROKEN


def _tell(cluster: DemoCluster, console: Console, prepared: Models, folder: Path) -> Telling:
    kubectl = Kubectl(cluster.kubeconfig, cluster.context)
    router = cluster.reach(place.RELEASE_NAMESPACE, place.ROUTER_SERVICE, place.ROUTER_PORT)
    served = {model.path.name: model.path for model in prepared.versions.values()}
    with (
        files.serving(served, place.host_address(cluster)) as address,
        Sight(kubectl, place.NAMESPACE, place.NAME) as sight,
        teller(console) as telling_it,
    ):
        return Story(kubectl, sight, prepared, telling_it, files=address, router=router, folder=folder).tell()


def _draw(cluster: DemoCluster, console: Console, telling: Telling, folder: Path) -> None:
    """A story without a picture is still a story: what hinders the picture is said, and no more."""
    # matplotlib takes a second to import, which the story needn't wait for.
    from tidegate_demo.picture import draw

    spans = spans_of(telling)
    if not spans:
        return
    drawn = [folder / "rollout.svg", folder / "rollout.png"]
    try:
        address = cluster.reach(prometheus.NAMESPACE, prometheus.NAME, prometheus.PORT)
        history = prometheus_history.read(address, spans[0].began, min(spans[-1].ended, time.time()))  # noqa: TID251 - shell
        draw(history, telling.versions, spans, drawn)
    except (ClusterError, HistoryUnavailableError, OSError) as error:
        console.print(f"no picture: {error}", markup=False)
        return
    console.print(f"picture: {drawn[0]}", markup=False)


def spans_of(telling: Telling) -> tuple[Span, ...]:
    """The chapters as told, each up to where the next begins; the last one with the rest after it."""
    begins = [told.began for told in telling.told]
    ends = [*begins[1:], telling.told[-1].ended + story.REST_SECONDS] if telling.told else []
    labels = [SPAN_LABELS.get(told.chapter.version, told.chapter.version) for told in telling.told]
    return tuple(Span(*span) for span in zip(labels, begins, ends, strict=True))


def _say_how_to_go_on(cluster: DemoCluster, console: Console) -> None:
    console.print("Interrupted; the cluster is left as it is. To go on:", style="bold")
    console.print(f"  export KUBECONFIG={cluster.kubeconfig}   # to look around with kubectl", markup=False)
    console.print("  tidegate-demo up      # everything, from where it stands; `story` for the story alone")
    console.print("  tidegate-demo down    # removes every trace")


if __name__ == "__main__":
    sys.exit(main())
