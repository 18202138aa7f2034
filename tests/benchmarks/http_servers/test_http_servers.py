"""The comparison of HTTP servers: what is sent, what the figures are made of, and how verdicts read."""

from pathlib import Path

import pytest

from benchmarks.http_client import HOST, chunks
from benchmarks.http_servers.report import endings, facts, notes, speeds
from benchmarks.http_servers.results import Ending, Facts, Idle, Results, Row, Slow, Speed, TooLarge
from benchmarks.http_servers.setups import PACKAGES, ComparedServer, Package, compared_servers_of, tidegate_servers
from benchmarks.http_servers.speed import best_of
from benchmarks.processes import ticks_of
from benchmarks.server.protocols import InferenceRequest
from benchmarks.server.results import Load, spread_of
from benchmarks.server.setups import LaunchContext

CONTEXT = LaunchContext("digits", Path("/models/model.onnx"), 8080, (8081, 8082), Path("/tmp/server"))  # noqa: S108 - never opened
EVERY_SERVER = [
    compared for package in PACKAGES for compared in compared_servers_of(package, Path("/programs"))
] + tidegate_servers()

ENDED = Slow(held=40, ended=40, last_ended=30.4, watched=31.0, asked=30, late=0)
SPEED = Speed(31_500.4, 31.26, 0.484, 12.3, failed=0, paced=Load(22_000, 0.1, 0.734, 0))


def facts_of(**changed: object) -> Facts:
    refused, kept = TooLarge(413, 2**16, 40 * 2**20), Idle(None, 62)
    given = {"chunked": "", "declared": refused, "undeclared": refused, "bodies": ENDED, "heads": ENDED, "idle": kept}
    return Facts(**{**given, **changed})  # type: ignore[arg-type]


def cells(table: str) -> list[str]:
    """Of the last row."""
    return [cell.strip() for cell in table.splitlines()[-1].strip("|").split("|")]


# --- what is started


def test_no_two_servers_share_a_name() -> None:
    labels = [compared.label for compared in EVERY_SERVER]
    assert sorted(set(labels)) == sorted(labels)


@pytest.mark.parametrize("compared", [pytest.param(compared, id=compared.label) for compared in EVERY_SERVER])
def test_every_server_is_told_its_port_and_its_model(compared: ComparedServer) -> None:
    launch = compared.setup.launch(CONTEXT)
    said = " ".join([*launch.command, *launch.environment.values()])
    assert ("8080" in said, "/models/model.onnx" in said) == (True, True)


@pytest.mark.parametrize("package", [pytest.param(package, id=package.name) for package in PACKAGES])
def test_every_package_is_pinned_with_all_that_it_needs(package: Package) -> None:
    lines = package.pins.read_text().splitlines()
    assert [line for line in lines if "==" not in line] == []
    assert {line.partition("==")[0] for line in lines} >= {package.package, "onnxruntime", "orjson"}


def test_our_server_runs_as_one_process_like_all_others() -> None:
    whole = tidegate_servers()[-1].setup.launch(CONTEXT)
    assert whole.environment["TIDEGATE_PROCESSES"] == "1"


# --- what is sent


def test_a_body_in_chunks_is_all_of_it_and_an_end() -> None:
    assert chunks(b"abcdefg", 3) == [b"3\r\nabc\r\n", b"3\r\ndef\r\n", b"1\r\ng\r\n", b"0\r\n\r\n"]


def test_a_head_has_the_requests_headers_and_those_of_the_probe() -> None:
    request = InferenceRequest("/predict", b"{}", {"Content-Type": "application/json"})
    assert request.head(HOST, {"Content-Length": "41"}) == (
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 41\r\n\r\n"
    )


# --- what the figures are made of


@pytest.mark.parametrize(
    ("group", "expected"),
    [pytest.param(77, 1207, id="of the group: user and system time"), pytest.param(78, 0, id="of another group")],
)
def test_cpu_time_of_a_process(group: int, expected: int) -> None:
    stat = "1234 (a) b (c) S 1 77 77 0 -1 4194560 900 0 0 0 1200 7 3 4 20 0 5 0 100 0 0"
    assert ticks_of(stat, group) == expected


def test_rounds_of_an_ending_add_up() -> None:
    one = Ending(asked=800, refused=3, broken=1, connections=16, told=15, new_asked=5, new_answered=4)
    assert (one + one, (one + one).lost) == (Ending(1600, 6, 2, 32, 30, 10, 8), 8)


def test_the_handler_alone_counts_with_its_fastest_run() -> None:
    slower = Speed(SPEED.per_second - 1, 40.0, 0.5, 1.0, 0, None)
    runs = [slower, SPEED, slower]
    assert (best_of(runs), spread_of([run.per_second for run in runs])) == (SPEED, 1 / slower.per_second)


@pytest.mark.parametrize(
    ("seen", "refused"),
    [
        pytest.param(TooLarge(413, 2**20, 2**25), True, id="413 early"),
        pytest.param(TooLarge(413, 2**25, 2**25), False, id="413 after all of it"),
        pytest.param(TooLarge(500, 2**20, 2**25), False, id="an error of the server"),
        pytest.param(TooLarge(0, 2**20, 2**25), False, id="no answer"),
    ],
)
def test_a_large_body_is_refused_only_by_an_early_4xx(seen: TooLarge, refused: bool) -> None:
    assert seen.refused is refused


# --- how it reads


@pytest.mark.parametrize(
    ("changed", "column", "expected"),
    [
        pytest.param({}, 1, "yes", id="chunks arrive"),
        pytest.param({"chunked": "411"}, 1, "no: 411", id="chunks are refused"),
        pytest.param({"chunked": None}, 1, "–", id="a probe that failed is no verdict"),
        pytest.param({}, 2, "refused", id="both kinds of large bodies refused"),
        pytest.param({"undeclared": TooLarge(500, 9, 9)}, 2, "refused, in chunks taken", id="only with a length"),
        pytest.param({"declared": TooLarge(0, 5, 9)}, 2, "cut off, in chunks refused", id="reset without an answer"),
        pytest.param({}, 3, "answered, ended in 30 s", id="slow clients harm nobody"),
        pytest.param({"bodies": Slow(40, 3, 9, 35, 18, 18)}, 3, "18 of 18 LATE, 37 not ended", id="they harm others"),
        pytest.param({}, 5, "kept", id="idle for over a minute"),
        pytest.param({"idle": Idle(30.2, 62)}, 5, "closed after 30 s", id="closed too early"),
        pytest.param({"idle": Idle(None, 35)}, 5, "kept for 35 s, then not watched", id="watched too short to say"),
    ],
)
def test_facts(changed: dict[str, object], column: int, expected: str) -> None:
    row = Row("tidegate, the whole server", "", facts=facts_of(**changed))
    assert cells(facts(Results((row,), {})))[column] == expected


def test_lost_requests_say_how_they_were_lost() -> None:
    ending = Ending(2400, 584, 2, 48, 16, 15, 0)
    table = endings(Results((Row("gunicorn, gthread", "", ending=ending),), {}))
    assert cells(table) == ["gunicorn, gthread", "16 of 48", "0 of 15", "586 of 2,400: 584 refused, 2 broken"]


def test_speeds_of_a_server() -> None:
    table = speeds(Results((Row("tidegate", "", speed=SPEED), Row("absent", "", note="can't be installed")), {}))
    assert cells(table) == ["tidegate", "31,500", "31.3", "0.48", "12", "0.73"]


def test_notes_say_what_is_missing_what_failed_and_who_bounds_idleness() -> None:
    failing = Speed(10.0, 1.0, 1.0, 1.0, failed=2, paced=Load(7, 1.0, 1.0, failed=3))
    rows = (Row("a, one", "--keep", speed=failing, facts=facts_of()), Row("b", "", note="can't be installed"))
    assert notes(Results(rows, {})).splitlines() == [
        "- b: can't be installed",
        "- How long an idle connection is kept is set by a: --keep",
        "- a, one: 5 requests FAILED while its speed was measured",
    ]


def test_a_machine_with_other_work_is_named_first() -> None:
    said = notes(Results((Row("b", "", note="can't be installed"),), {}, spread=0.42))
    assert [line.partition(",")[0] for line in said.splitlines()] == [
        "- The handler's own rounds differ by 42%",
        "- b: can't be installed",
    ]
