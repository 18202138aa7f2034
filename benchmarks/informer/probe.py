"""The measured process: the operator's copy of a cluster, nothing else. Prints one JSON object of bytes.

Runs the code that it finds first, which may be older: `KubernetesCluster` was elsewhere and took other arguments.
"""

import gc
import importlib
import json
import logging
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import kubernetes

from benchmarks.informer.api_server import FORGET, FORGET_AND_CHANGE

PATIENCE_SECONDS = 300
PLACES = {"tidegate.kube": "api", "tidegate.clients": "kubernetes_api"}
"""Packages and their module of plain requests, the present one first."""


def main(url: str, how: str) -> None:
    """`how` is `traced` (Python's own count) or `resident` (what the kernel says)."""
    logging.disable()
    configuration = kubernetes.client.Configuration()
    configuration.host = url
    kubernetes.client.Configuration.set_default(configuration)
    cluster = _cluster()
    traced = how == "traced"
    if traced:
        tracemalloc.start()
    measure = _traced if traced else _resident
    before, _ = measure()
    _reset_peak(traced)
    cluster.start()
    _wait(cluster.complete)
    held, first_peak = measure()
    found = {"held": held - before, "list": first_peak - before}
    for name, path in (("relist", FORGET), ("changed", FORGET_AND_CHANGE)):
        _reset_peak(traced)
        urlopen(url + path, timeout=PATIENCE_SECONDS).close()  # noqa: S310 - our own loopback server
        found[name] = measure()[1] - before
    sys.stdout.write(json.dumps(found))


def _cluster() -> Any:
    for package, api in PLACES.items():
        try:
            module = importlib.import_module(f"{package}.cluster")
        except ModuleNotFoundError:
            continue
        client = importlib.import_module(f"{package}.{api}").KubernetesApi()
        before = hasattr(module, "WATCHED")  # kinds were no argument
        kinds = () if before else (importlib.import_module("tidegate.controller.observe").WATCHED,)
        # It only reads pods: where a leader and routers are arguments, neither is asked.
        election: tuple[Any, ...] = ()
        if hasattr(module, "Leadership"):
            election = (None, importlib.import_module(f"{package}.routers").Routers(client, "benchmark", "router"))
        return module.KubernetesCluster(client, *kinds, lambda namespace, name: None, (), "benchmark", *election)
    raise SystemExit("there is no KubernetesCluster in this tree")


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not until():
        if time.monotonic() > deadline:
            raise SystemExit("the pods weren't listed in time")
        time.sleep(0.05)


def _traced() -> tuple[int, int]:
    gc.collect()
    return tracemalloc.get_traced_memory()


def _resident() -> tuple[int, int]:
    gc.collect()
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now, peak = (int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


def _reset_peak(traced: bool) -> None:
    if traced:
        tracemalloc.reset_peak()
    else:
        Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main(*sys.argv[1:])
