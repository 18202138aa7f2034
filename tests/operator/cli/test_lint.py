"""`tidegate lint` refuses what a cluster would refuse, and says where and what to write."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.__main__ import main
from tidegate.cli.common.crd_file import METRIC_TEMPLATES, schema_of_all
from tidegate.cli.lint import command
from tidegate.cli.lint.cel_rules import cel_rules
from tidegate.cli.lint.documents import Document, documents
from tidegate.cli.lint.findings import findings, is_ours

ROOT = Path(__file__).parents[3]
GOOD = """\
apiVersion: tidegate.dev/v1alpha1
kind: ModelDeployment
metadata: {name: sentiment, namespace: shop}
spec:
  model:
    uri: https://models.example.com/7.onnx
"""


def what(text: str) -> list[tuple[int, str]]:
    """The line and the sentence of each finding."""
    pytest.importorskip("cel")
    (document,) = documents("a.yaml", text)
    assert isinstance(document, Document)
    return [(each.line, each.what) for each in findings(document, schema_of_all(), cel_rules())]


def changed(**spec: Any) -> str:
    document = yaml.safe_load(GOOD)
    document["spec"] |= spec
    return yaml.safe_dump(document, sort_keys=False)


def test_nothing_is_wrong_with_what_is_right() -> None:
    assert what(GOOD) == []


@pytest.mark.parametrize("example", sorted((ROOT / "examples").rglob("*.yaml")), ids=lambda each: each.parent.name)
def test_our_own_examples_are_right(example: Path) -> None:
    pytest.importorskip("cel")
    found = [
        each.what
        for document in documents(str(example), example.read_text())
        if isinstance(document, Document) and is_ours(document)
        for each in findings(document, schema_of_all(), cel_rules())
        if each.field != "spec.model.sha256"  # some are filled in when they are used
    ]

    assert found == []


URI = "    uri: https://models.example.com/7.onnx"
DIGEST = f"    sha256: {'ab' * 32}"


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        (GOOD + "    url: x\n", 7, "spec.model.url isn't a field; the nearest is uri"),
        (GOOD + "  replicas: two\n", 7, "spec.replicas must be of type integer, not 'two'"),
        (GOOD + "  replicas: [1]\n", 7, "spec.replicas must be of type integer, not [1]"),
        (GOOD + "  analysis: [{}]\n", 7, "spec.analysis must be of type object, not [{}]"),
        (GOOD + "  replicas: -1\n", 7, "spec.replicas must be a whole number from 0 to 1000, not -1"),
        (GOOD + "  replicas: 1\n  replicas: 2\n", 8, "spec.replicas is given twice in one object"),
        (GOOD.replace("uri: https:", "uri: ftp:"), 6, "spec.model.uri must begin with file://, pvc://"),
        (GOOD.replace(URI, DIGEST), 6, "spec.model lacks uri, which has to be given"),
        (GOOD.replace("v1alpha1", "v1"), 1, "apiVersion must be tidegate.dev/v1alpha1, not 'tidegate.dev/v1'"),
        (GOOD.replace("name: sentiment, ", ""), 3, "metadata.name has to be given"),
        (GOOD.replace("sentiment", "1st"), 3, "metadata.name must be a DNS label that begins with a letter"),
        (GOOD.replace("sentiment", "s" * 51), 3, "metadata.name must have at most 50 characters"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_what_to_write(text: str, line: int, sentence: str) -> None:
    assert any(at == line and said.startswith(sentence) for at, said in what(text)), what(text)


STEPS = [{"weight": 25}, {"weight": 5}]
QUERY = {"name": "a", "query": "up{{candidate}}"}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"strategy": {"canary": {"steps": STEPS}}}, "the weights of spec.strategy.canary.steps must ascend"),
        (
            {"strategy": {"canary": {"steps": [{"weight": 5}, {"mirror": {"percent": 5}}]}}},
            "the steps of spec.strategy.canary.steps with a mirror must come before those with a weight",
        ),
        (
            {"strategy": {"canary": {"steps": [{"weight": 5, "mirror": {"percent": 5}}]}}},
            "a step of spec.strategy.canary.steps must have ",
        ),
        (
            {"traffic": {"grpc": True, "sticky": {"cookie": {"name": "user"}}}},
            "spec.traffic.sticky must have a header and no cookie where spec.traffic.grpc is true",
        ),
        (
            {"traffic": {"sticky": {"header": "x-envoy-user"}}},
            "spec.traffic.sticky.header must be a header that has a user's id, such as x-user",
        ),
        (
            {"model": {"uri": "s3://models/7", "signedBy": {"secret": "signers"}}},
            "spec.model.signedBy is for a spec.model.uri with oci:// alone",
        ),
        ({"strategy": {"canary": {}, "blueGreen": {}}}, "spec.strategy must have exactly one of canary and blueGreen"),
        (
            {"analysis": {"slices": [{"name": "tenant"}, {"name": "country"}]}},
            "spec.analysis.slices[0] lacks header, which has to be given",
        ),
        ({"analysis": {"interval": "10m"}}, "spec.analysis.interval must be"),
        ({"analysis": {"queries": [QUERY]}}, "a query of spec.analysis.queries must have min, max or both"),
        (
            {"analysis": {"queries": [{**QUERY, "templateRef": {"name": "b"}}]}},
            "a query of spec.analysis.queries must have exactly one of query and templateRef",
        ),
        (
            {"analysis": {"queries": [{**QUERY, "min": "1", "args": [{"name": "b", "value": ""}]}]}},
            "a query of spec.analysis.queries has args only beside a templateRef",
        ),
        (
            {"strategy": {"canary": {"steps": [{"weight": 5, "analysis": {"queries": ["b"]}}]}}},
            "a step of spec.strategy.canary.steps must name only queries that spec.analysis.queries has",
        ),
        (
            {"strategy": {"blueGreen": {"prePromotionAnalysis": {"queries": ["b"]}}}},
            "spec.strategy.blueGreen must name only queries that spec.analysis.queries has",
        ),
        (
            {"analysis": {"queries": [{**QUERY, "min": "1", "failureLimit": 0}]}},
            "spec.analysis.queries[0].failureLimit must be a whole number from 1 to 1000, not 0",
        ),
        (
            {"analysis": {"queries": [{**QUERY, "min": "1", "dryRun": True, "onFailure": "Hold"}]}},
            "a query of spec.analysis.queries must not have both dryRun and onFailure",
        ),
        ({"server": {"resources": {"limits": {"memory": "1 Gi"}}}}, "spec.server.resources.limits.memory must be a Ku"),
        ({"traffic": {"previewHeader": "cookie"}}, "spec.traffic.previewHeader must be a header that nothing else"),
    ],
)
def test_the_crds_own_rules_are_asked(spec: dict[str, Any], sentence: str) -> None:
    assert any(said.startswith(sentence) for _, said in what(changed(**spec))), what(changed(**spec))


def test_every_rule_of_the_crd_can_be_evaluated() -> None:
    """A rule that our evaluator doesn't understand would hold for everything, and nobody would know."""
    cel = pytest.importorskip("cel")

    def rules(schema: Any) -> list[str]:
        if isinstance(schema, list):
            return [rule for each in schema for rule in rules(each)]
        if not isinstance(schema, dict):
            return []
        own = [each["rule"] for each in schema.get("x-kubernetes-validations", ())]
        return own + [rule for key, each in schema.items() if key != "x-kubernetes-validations" for rule in rules(each)]

    for rule in (*rules(schema_of_all()), *rules(schema_of_all(METRIC_TEMPLATES))):
        cel.compile(rule)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lint(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        return main(["lint", *arguments]), *capsys.readouterr()

    return run


def test_a_folder_is_looked_through_and_other_kinds_are_passed_over(lint: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Service\n---\n" + GOOD + "---\n---\n" + GOOD + "  replicas: no\n")
    (tmp_path / "b.txt").write_text("}")
    (tmp_path / "c.json").write_text(json.dumps({"kind": "List", "items": [yaml.safe_load(GOOD)]}))
    code, out, err = lint(str(tmp_path))

    assert code == 1
    assert out == f"{tmp_path}/a.yaml:17: shop/sentiment: spec.replicas must be of type integer, not False\n"
    assert err.startswith("3 ModelDeployments: 1 problem")


TEMPLATE = """\
apiVersion: tidegate.dev/v1alpha1
kind: MetricTemplate
metadata: {name: accuracy, namespace: shop}
spec:
  query: right{revision="{{candidate}}"}[{{args.window}}]
  args: [{name: window}]
  min: "0.9"
"""


def by_template(*args: dict[str, str], namespace: str = "shop") -> str:
    query = {"name": "accuracy", "templateRef": {"name": "accuracy"}, "args": list(args)}
    return changed(analysis={"queries": [query]}).replace("namespace: shop", f"namespace: {namespace}")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param(by_template({"name": "window", "value": "5m"}), "", id="it fits"),
        pytest.param(by_template(namespace="other"), "", id="a template of another namespace isn't meant"),
        pytest.param(
            by_template(),
            "spec.analysis.queries[0] can't be asked: MetricTemplate accuracy: its arg window has no value; give it in "
            "args",
            id="an arg missing",
        ),
        pytest.param(
            by_template({"name": "windw", "value": "5m"}),
            "spec.analysis.queries[0] can't be asked: MetricTemplate accuracy: it has no arg windw, only window; "
            "take it out of args",
            id="an arg too many",
        ),
    ],
)
def test_a_query_and_the_template_in_the_same_folder_have_to_fit(
    model: str, said: str, lint: Run, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(model)
    (tmp_path / "b.yaml").write_text(TEMPLATE)
    code, out, err = lint(str(tmp_path))

    assert (code, out.strip().partition("shop/sentiment: ")[2]) == (bool(said), said)
    assert err.startswith("1 ModelDeployment and 1 MetricTemplate: ")


def test_a_template_is_held_against_its_own_rules(lint: Run, tmp_path: Path) -> None:
    pytest.importorskip("cel")
    (tmp_path / "a.yaml").write_text(TEMPLATE.replace("{{candidate}}", "all").replace('  min: "0.9"\n', "  mim: 1\n"))
    out = lint(str(tmp_path / "a.yaml"))[1]

    assert [line.partition("shop/accuracy: ")[2] for line in out.splitlines()] == [
        "spec.mim isn't a field; the nearest is min",
        "spec.query must name {{candidate}}, the revision that it is about",
        "spec.min, spec.max or both must be given",
    ]


def test_findings_as_json(lint: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD + "  replicas: -1\n")

    assert json.loads(lint(str(tmp_path / "a.yaml"), "-o", "json")[1]) == [
        {
            "file": f"{tmp_path}/a.yaml",
            "line": 7,
            "document": 1,
            "name": "shop/sentiment",
            "field": "spec.replicas",
            "what": "spec.replicas must be a whole number from 0 to 1000, not -1",
        }
    ]


def test_stdin_is_a_file_too(lint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(GOOD))

    assert lint("-")[0] == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("spec:\n  a: [", "a.yaml:3: this isn't YAML: "),
        ("a: {{ .Values.x }}\n", "a.yaml:1: this isn't YAML: "),
        ("{kind: ModelDeployment, apiVersion: tidegate.dev/v1alpha1}", "a.yaml:1: metadata.name has to be given"),
        ("{kind: ModelDeployment, apiVersion: tidegate.dev/v1alpha1, metadata: [], spec: []}", "a.yaml:1: metadata"),
    ],
)
def test_a_file_of_any_shape_is_answered_with_a_sentence(text: str, sentence: str, lint: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    code, out, _ = lint(str(tmp_path / "a.yaml"))

    assert code == 1
    assert out.startswith(f"{tmp_path}/{sentence}")


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        pytest.param("kind: Deployment\n---\nkind: Service\n", ", only Deployment, Service", id="other kinds"),
        pytest.param(
            "kind: ModelDeploymnet\n",
            ", only ModelDeploymnet; ModelDeploymnet is no kind of ours: is it ModelDeployment?",
            id="a misspelt kind",
        ),
        pytest.param(
            "apiVersion: v1\nkind: ModelDeployment\n",
            ", only ModelDeployment; to be one of ours, a ModelDeployment has apiVersion tidegate.dev/v1alpha1",
            id="somebody else's",
        ),
        pytest.param("- kind\n", "", id="a list"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_without_a_model_the_command_line_makes_no_sense(lint: Run, tmp_path: Path, text: str, instead: str) -> None:
    (tmp_path / "a.yaml").write_text(text)

    assert lint(str(tmp_path / "a.yaml"))[::2] == (
        2,
        f"tidegate lint: there is no ModelDeployment in {tmp_path}/a.yaml{instead}\n",
    )


@pytest.mark.parametrize(
    "line", [["lint"], ["plan", "--offline"], ["simulate", "-f"], ["migrate"]], ids=lambda each: each[0]
)
def test_a_file_that_is_not_there_makes_no_sense_to_any_command(
    line: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*line, str(tmp_path / "b.yaml")])

    told = f"tidegate {line[0]}: {tmp_path}/b.yaml can't be read: No such file or directory\n"
    assert (code, capsys.readouterr().err) == (2, told)


def test_without_cel_it_says_that_rules_were_left_out(
    lint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "cel_rules", lambda: None)
    (tmp_path / "a.yaml").write_text(GOOD)

    left = "some of the CRD's rules weren't checked: install what reads them with: pip install 'tidegate[lint]'"
    assert left in lint(str(tmp_path / "a.yaml"))[2]
