"""What the server does before it serves: settings, CPUs, opening the model."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tidegate_server.cgroup import cpu_quota, memory_limit, usable_cpus
from tidegate_server.errors import BadSetting, ModelRefused
from tidegate_server.inference.model_size import model_bytes, require_room
from tidegate_server.metrics import latency_buckets
from tidegate_server.open_files import FileLimitWatch, connection_limits
from tidegate_server.settings import Settings


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tidegate_server", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TIDEGATE_PORT", "http"),
        ("TIDEGATE_PORT", "65536"),
        ("TIDEGATE_THREADS", "0"),
        ("TIDEGATE_MAX_BODY_BYTES", "-1"),
        ("TIDEGATE_DRAIN_SECONDS", "nan"),
        ("TIDEGATE_DRAIN_SECONDS", "soon"),
        ("TIDEGATE_DRAIN_DEADLINE_SECONDS", "4"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(BadSetting, match=variable):
        Settings.from_env({variable: value})


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        pytest.param({}, 40.0, id="by default: the longest request, and a little more"),
        pytest.param({"TIDEGATE_REQUEST_SECONDS": "600"}, 610.0, id="a model is given ten minutes to answer"),
        pytest.param({"TIDEGATE_DRAIN_DEADLINE_SECONDS": "7"}, 7.0, id="as told"),
    ],
)
def test_a_server_that_ends_waits_for(environ: dict[str, str], seconds: float) -> None:
    assert Settings.from_env(environ).drain_deadline_seconds == seconds


def test_on_a_laptop_the_files_name_is_the_models_name() -> None:
    settings = Settings.from_env({"TIDEGATE_MODEL_PATH": "digits.onnx"})
    assert (settings.model_name, settings.model_deployment, settings.revision) == ("digits", "local/digits", "local")


def test_a_folder_is_the_graph_in_it_and_gives_it_its_name(tmp_path: Path) -> None:
    for name in ("iris/model.onnx", "iris/other.onnx", "single/digits.onnx", "hub/onnx/model.onnx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = {}
    for folder in ("iris", "single", "hub"):
        settings = Settings.from_env({"TIDEGATE_MODEL_PATH": str(tmp_path / folder)})
        found[settings.model_name] = str(settings.model_path.relative_to(tmp_path))
    assert found == {"iris": "iris/model.onnx", "digits": "single/digits.onnx", "hub": "hub/onnx/model.onnx"}


@pytest.mark.parametrize(
    ("files", "words"), [((), "has no .onnx file"), (("a.onnx", "b.onnx"), "has 2 .onnx files and none is model.onnx")]
)
def test_a_folder_that_does_not_say_which_graph_is_refused(tmp_path: Path, files: tuple[str, ...], words: str) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(BadSetting, match=rf"the model is to be in the folder .*, which {words}; name the file"):
        Settings.from_env({"TIDEGATE_MODEL_PATH": str(tmp_path)})


def test_a_files_name_that_cannot_be_the_models_says_how_to_give_another() -> None:
    with pytest.raises(BadSetting, match=r"'my model' can't be TIDEGATE_MODEL_NAME; .*; give it one with --name"):
        Settings.from_env({"TIDEGATE_MODEL_PATH": "my model.onnx"})


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        pytest.param(["--model", "none.onnx"], {}, 1, "there is no model file at none.onnx", id="no file"),
        pytest.param(["--model", __file__], {}, 1, "isn't an ONNX model", id="another kind of file"),
        pytest.param(["--model", __file__], {"TIDEGATE_MODEL_SHA256": "0" * 64}, 1, "not 0000", id="another content"),
        pytest.param([], {"TIDEGATE_PORT": "x"}, 2, "TIDEGATE_PORT is 'x'", id="a bad setting"),
    ],
)
def test_what_cannot_be_served_ends_in_one_sentence(
    arguments: list[str], environment: dict[str, str], code: int, words: str
) -> None:
    ended = run("serve", *arguments, **environment)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (code, 1)
    assert words in ended.stderr


def test_a_port_that_is_taken_is_named(linear: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("serve", "--model", str(linear), TIDEGATE_HOST="127.0.0.1", TIDEGATE_PORT=str(port))

    assert ended.returncode == 1
    assert f"can't listen on 127.0.0.1:{port} (TIDEGATE_PORT): Address already in use" in ended.stderr


def test_a_model_that_refuses_blanks_is_served_all_the_same(start: Any, tmp_path: Path) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    # Reshape to a shape that one value can't fill, while [1] is the smallest input.
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        "pairs",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(np.array([-1, 2]), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "pairs.onnx")
    server = start(tmp_path / "pairs.onnx")
    assert server.ask("POST", "/predict", [1, 2, 3, 4]).json["outputs"] == {"y": [[1.0, 2.0], [3.0, 4.0]]}
    assert server.log.count("without a warm-up") == 1


@pytest.mark.parametrize(
    ("environment", "permanent"),
    [
        pytest.param({"TIDEGATE_PORT": "x"}, True, id="a setting stays wrong"),
        pytest.param({"TIDEGATE_API_KEYS_FILE": "none"}, False, id="a Secret may be mounted a moment later"),
    ],
)
def test_what_keeps_the_server_from_starting_is_in_the_termination_message(
    linear: Path, tmp_path: Path, environment: dict[str, str], permanent: bool
) -> None:
    told = tmp_path / "told"
    ended = run("serve", "--model", str(linear), TIDEGATE_TERMINATION_LOG=str(told), **environment)
    report = json.loads(told.read_text())
    assert (ended.returncode, report["reason"], report["permanent"]) == (2, "BadSetting", permanent)
    assert next(iter(environment)) in report["message"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"cpu.max": "150000 100000"}, 1.5, id="cgroup v2"),
        pytest.param({"cpu.max": "max 100000"}, None, id="cgroup v2 without a limit"),
        pytest.param({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4.0, id="cgroup v1"),
        pytest.param({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None, id="v1 without a limit"),
        pytest.param({}, None, id="no cgroups"),
    ],
)
def test_the_quota_is_read_from_the_cgroup(tmp_path: Path, files: dict[str, str], expected: float | None) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    assert cpu_quota(tmp_path) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"memory.max": "1073741824"}, 2**30, id="cgroup v2"),
        pytest.param({"memory.max": "max"}, None, id="cgroup v2 without a limit"),
        pytest.param({"memory/memory.limit_in_bytes": "1073741824"}, 2**30, id="cgroup v1"),
        pytest.param({"memory/memory.limit_in_bytes": "9223372036854771712"}, None, id="v1 without a limit"),
        pytest.param({}, None, id="no cgroups"),
    ],
)
def test_the_memory_limit_is_read_from_the_cgroup(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    assert memory_limit(tmp_path) == expected


@pytest.mark.parametrize(
    ("quota", "cores", "request_", "cpus"),
    [
        pytest.param(0.5, 64, None, 1, id="half a CPU is still one thread"),
        pytest.param(3.5, 64, None, 3, id="a thread more than the quota would be throttled"),
        pytest.param(8.0, 4, None, 4, id="a quota above the cores"),
        pytest.param(None, 4, None, 4, id="no quota"),
        pytest.param(None, 64, 0.1, 4, id="a small request on a large node"),
        pytest.param(None, 64, 7.5, 8, id="a large request"),
        pytest.param(None, 2, 7.5, 2, id="a request above the cores"),
        pytest.param(16.0, 64, 2.0, 16, id="a quota counts before a request"),
    ],
)
def test_the_runtime_gets_the_containers_cpus_not_the_hosts(
    quota: float | None, cores: int, request_: float | None, cpus: int
) -> None:
    assert usable_cpus(quota, cores, request_) == cpus


def test_cores_that_the_process_may_not_run_on_do_not_count() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from tidegate_server.cgroup import available_cores; print(available_cores())"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"1\n"


def test_weights_beside_the_file_are_part_of_the_models_size(external: Path) -> None:
    assert model_bytes(external) == external.stat().st_size + 1600


@pytest.mark.parametrize("limit", [None, 2**30])
def test_a_model_that_fits_is_opened(external: Path, limit: int | None) -> None:
    require_room(external, 100 * 2**20, limit)


def test_a_model_larger_than_the_memory_is_refused_before_the_kernel_ends_it(tmp_path: Path, external: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(external.read_bytes())
    with (tmp_path / "weights.bin").open("wb") as weights:
        weights.truncate(3 * 2**30)  # a hole, which takes no room
    with pytest.raises(ModelRefused) as refused:
        require_room(model, 100 * 2**20, 2**30)
    assert (refused.value.reason, str(refused.value)) == (
        "TooLarge",
        "the model has 3.0 GiB with its weights, and the container may take 1.0 GiB of memory, of which the server "
        "needs 100 MiB; set resources.limits.memory to 7Gi or so",
    )


@pytest.mark.parametrize(
    ("wanted", "limit", "in_use", "expected"),
    [
        pytest.param(1000, 65536, 40, (1000, 1024), id="plenty"),
        pytest.param(1000, 1024, 40, (480, 480), id="an old default"),
        pytest.param(1000, 70, 34, (6, 6), id="seventy"),
        pytest.param(1000, 30, 29, (4, 4), id="hardly any"),
        pytest.param(100, 1024, 40, (100, 860), id="few are wanted over HTTP"),
    ],
)
def test_no_more_connections_are_taken_than_files_can_be_open(
    wanted: int, limit: int, in_use: int, expected: tuple[int, int]
) -> None:
    assert connection_limits(wanted, limit, in_use) == expected


def test_at_the_limit_of_open_files_the_log_says_so_once_and_again_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    watch = FileLimitWatch()

    def full(*_: Any) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        watch.look()
        watch.look()
    watch.look()
    assert [message.partition(" (")[0] for message in caplog.messages] == [
        "no more files and connections can be opened",
        "files and connections can be opened again",
    ]


def test_latency_buckets_are_geometric_up_to_ten_seconds() -> None:
    bounds = latency_buckets()
    assert bounds == tuple(0.0005 * 1.2**k for k in range(-16, 56))
    assert bounds[-2] < 10 <= bounds[-1]
