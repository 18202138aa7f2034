"""One whole run: size after size, the router's part and the operator's, the codes in turns."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import kubernetes

from benchmarks.errors import BenchmarkError
from benchmarks.progress import Progress
from benchmarks.scale import operator_trial, router_trial
from benchmarks.scale.code import Code
from benchmarks.scale.control_plane import BENCHMARK, ControlPlane, control_plane
from benchmarks.scale.etcd import Etcd
from benchmarks.scale.figures import Measured, load_results, save_results
from benchmarks.scale.objects import namespaces
from benchmarks.scale.operator_trial import NAMESPACES, OperatorTrial
from benchmarks.scale.router_trial import RouterTrial, RouterWorld
from benchmarks.scale.upstream import upstream
from tidegate.errors import TidegateError
from tidegate.kube.api import KubernetesApi
from tidegate_demo.cluster.layout import cache_folder

FAILED = (BenchmarkError, TidegateError)
OPERATOR_PART, ROUTER_PART = "operator", "router"
PARTS = (OPERATOR_PART, ROUTER_PART)
SMALLER = (operator_trial.Lengths(3.0, 10.0, 20.0), router_trial.Lengths(5.0, 15.0, 1.0, 1))
"""How long the parts take at all sizes but the largest: there they show how things grow."""
LARGEST = (operator_trial.Lengths(), router_trial.Lengths())


@dataclass(frozen=True)
class Plan:
    """`quick` has the lengths of the smaller sizes at each."""

    codes: Sequence[Code]
    sizes: Sequence[int]
    parts: Sequence[str]
    quick: bool
    go_on: bool = False
    """Whether what was measured before is kept, as far as it isn't measured anew."""


def run(plan: Plan) -> tuple[Measured, ...]:
    """Takes some twenty minutes with a baseline. Raises BenchmarkError when nothing can be measured at all."""
    progress = Progress(planned=len(plan.codes) * len(plan.sizes) * len(plan.parts))
    found = load_results(_results()) if plan.go_on else {}
    for turn, size in enumerate(sorted(plan.sizes)):
        codes = plan.codes if turn % 2 == 0 else tuple(reversed(plan.codes))
        for_operator, for_router = SMALLER if plan.quick or size < max(plan.sizes) else LARGEST
        at_size = {
            code.name: replace(found.get((code.name, size), Measured(code.name, size)), trouble="") for code in codes
        }
        if ROUTER_PART in plan.parts:
            _routers(codes, size, for_router, at_size, progress)
        if OPERATOR_PART in plan.parts:
            _operators(codes, size, for_operator, at_size, progress)
        found |= {(name, size): measured for name, measured in at_size.items()}
        save_results(_results(), found.values())
    if all(each.operator is None and each.router is None for each in found.values()):
        raise BenchmarkError("; ".join(each.trouble for each in found.values()))
    return tuple(found[key] for key in sorted(found, key=lambda key: (key[1], key[0])))


def _results() -> Path:
    return folder() / "results.json"


def folder() -> Path:
    """Where etcd's data and the logs of the last run are."""
    return cache_folder() / "bench-scale"


def _routers(
    codes: Sequence[Code], size: int, lengths: router_trial.Lengths, found: dict[str, Measured], progress: Progress
) -> None:
    """All of them beside the same API server, one after the other."""
    with ExitStack() as stack:
        try:
            plane, api = stack.enter_context(_plane(folder() / ROUTER_PART, codes[0]))
            port = stack.enter_context(upstream(plane.folder))
            world = RouterWorld(api, Etcd(plane.etcd), size, port)
            world.make()
        except FAILED as error:
            for code in codes:
                _note(found, code, f"router: {error}", progress)
            return
        for code in codes:
            progress.step(f"{code.title}: a router with {size:,} models")
            try:
                figures = RouterTrial(code, plane, world, port, lengths, progress.note).run()
                found[code.name] = replace(found[code.name], router=figures)
            except FAILED as error:
                _note(found, code, f"router: {error}", progress)


def _operators(
    codes: Sequence[Code], size: int, lengths: operator_trial.Lengths, found: dict[str, Measured], progress: Progress
) -> None:
    """Each with an API server of its own, and its own CRDs."""
    for code in codes:
        progress.step(f"{code.title}: an operator with {size:,} ModelDeployments")
        try:
            with _plane(folder() / OPERATOR_PART, code) as (plane, api):
                figures = OperatorTrial(code, plane, api, size, lengths, progress.note).run()
            found[code.name] = replace(found[code.name], operator=figures)
        except FAILED as error:
            _note(found, code, f"operator: {error}", progress)


def _note(found: dict[str, Measured], code: Code, trouble: str, progress: Progress) -> None:
    """What goes wrong in one part ends this one alone."""
    progress.note(f"{code.title}: {trouble}")
    had = found[code.name].trouble
    found[code.name] = replace(found[code.name], trouble="; ".join(filter(None, (had, trouble))))


@contextmanager
def _plane(place: Path, code: Code) -> Iterator[tuple[ControlPlane, KubernetesApi]]:
    with control_plane(place, code.crds) as plane:
        kubernetes.config.load_kube_config(str(plane.kubeconfig(BENCHMARK)))  # type: ignore[no-untyped-call]
        api = KubernetesApi()
        for manifest in namespaces():
            api.apply(
                NAMESPACES, {**manifest, "metadata": {"namespace": None, **manifest["metadata"]}}, manager=BENCHMARK
            )
        yield plane, api
