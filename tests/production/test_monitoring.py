"""The alert rules and the dashboard of examples/production: every metric that they name exists in
the answer of a real server.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import ROOT, SCRIPT
from tests.integrations.server.live import PASS, Live, eventually, one
from tests.integrations.server.test_server import create

FOLDER = ROOT / "examples" / "production"
ALERTS = FOLDER / "prometheus" / "alerts.yml"
DASHBOARD = FOLDER / "grafana" / "stepwell.json"
PROMTOOL = shutil.which("promtool")
OF_PROMETHEUS = {"up"}  # it adds this to every scrape

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool (scripts/operations)")


def promtool(*words: object) -> None:
    done = subprocess.run(
        [str(PROMTOOL), *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def alerts() -> list[dict[str, Any]]:
    return [
        rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    ]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """(where, expression) of all panels, annotations and alerts."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in json.loads(DASHBOARD.read_text())["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for rule in alerts():
        yield rule["alert"], rule["expr"]


def metrics_in(expression: str) -> set[str]:
    """The metrics that an expression of PromQL reads: names before { or [, or alone, that are no
    function, operator or label.
    """
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\b(?:by|on|without) *\([^)]*\)', "", expression)
    names = set(re.findall(r"\b[a-zA-Z_]\w*\b(?! *\()", bare))
    return names - {"and", "or", "unless", "by"}


def labels_in(query: str) -> dict[str, set[str]]:
    """metric -> the labels that a query selects or sums it by."""
    expression = re.sub(r'"[^"]*"', "", query)
    sums = {
        label.strip()
        for labels in re.findall(r"\b(?:by|on|without) *\(([^)]*)\)", expression)
        for label in labels.split(",")
    }
    return {
        metric: sums
        | {
            label
            for selectors in re.findall(rf"\b{metric}\{{([^}}]*)\}}", expression)
            for label in re.findall(r"(\w+) *[=!]", selectors)
        }
        for metric in metrics_in(query)
    }


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The names of all samples that a server may answer, with its optional parts: their labels."""
    folder = tmp_path_factory.mktemp("monitoring")
    environment = {
        "PYTHONPATH": str(ROOT / ".dev"),
        "HOME": str(folder),
        "PATH": "/usr/bin:/bin",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    }
    live = Live(environment, folder / "served.db", "--log-sink", "-", program=SCRIPT)
    try:
        client = live.client()
        with pytest.raises(client.exceptions.InvalidArn):
            client.start_execution(stateMachineArn="none")
        ended = []
        for definition in (
            PASS,
            one(
                {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sqs:listQueues", "End": True}
            ),
        ):
            arn = create(client, f"m{len(ended)}", definition)
            ended.append(client.start_execution(stateMachineArn=arn)["executionArn"])
        for each in ended:
            described = partial(client.describe_execution, executionArn=each)
            eventually(lambda described=described: described()["status"] != "RUNNING")
        text = eventually(lambda: ("bytes" in live.get("/metrics")) and live.get("/metrics"))
    finally:
        live.close()
    found: dict[str, set[str]] = {}
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        ends = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        found |= {name + end: set() for end in ends}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] |= sample.labels.keys()
    return found


def test_every_query_uses_metrics_that_exist(exposed: dict[str, set[str]]) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="needs the extra opentelemetry")
    unknown = {
        where: missing
        for where, expression in queries()
        if (missing := metrics_in(expression) - exposed.keys() - OF_PROMETHEUS)
    }
    assert unknown == {}


def test_every_query_uses_labels_that_exist(exposed: dict[str, set[str]]) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="needs the extra opentelemetry")
    unknown = {
        (where, metric): missing
        for where, expression in queries()
        for metric, labels in labels_in(expression).items()
        if (missing := labels - exposed.get(metric, set()) - {"job", "instance"})
    }
    assert unknown == {}
    legends = {
        (panel["title"], label)
        for panel in panels()
        for target in panel["targets"]
        for label in re.findall(r"\{\{ *(\w+) *\}\}", target.get("legendFormat", ""))
        for labels in [set().union(*(exposed.get(m, set()) for m in metrics_in(target["expr"])))]
        if label not in labels | {"job", "instance"}
    }
    assert legends == set()


def test_the_reader_of_queries_finds_their_metrics() -> None:
    query = 'histogram_quantile(0.9, sum by (job, le) (rate(a_bucket{x="y or z"}[5m]))) > 1 and b'
    assert metrics_in(query) == {"a_bucket", "b"}
    assert labels_in(query) == {"a_bucket": {"job", "le", "x"}, "b": {"job", "le"}}


@needs_promtool
def test_the_alerts_are_valid() -> None:
    promtool("check", "rules", ALERTS)
    promtool("check", "config", "--syntax-only", FOLDER / "prometheus" / "prometheus.yml")


@needs_promtool
def test_the_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    variables = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}
    rules = []
    for number, (_, expression) in enumerate(queries()):
        for name, value in variables.items():
            expression = expression.replace(name, value)
        rules.append({"record": f"query:{number}", "expr": expression})
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", file)


@needs_promtool
def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    """series -> the alerts that are active after 20 minutes."""
    node = 'job="stepwell",instance="a"'
    start = f'{{{node},operation="StartExecution",code="%s",status="%s"}}'
    bucket = f'stepwell_request_seconds_bucket{{{node},operation="StartExecution",le="%s"}}'
    cases: list[tuple[dict[str, str], list[str]]] = [
        ({f"up{{{node}}}": "1x80"}, []),
        ({f"up{{{node}}}": "0x80"}, ["StepwellDown"]),
        ({f"stepwell_store_up{{{node}}}": "1x40 0x40"}, ["StepwellStoreDown"]),
        (
            {
                f"stepwell_shards{{{node}}}": "8x80",
                f"stepwell_shards_owned{{{node}}}": "4x80",
                'stepwell_shards_owned{job="stepwell",instance="b"}': "4x80",
            },
            [],
        ),
        (
            {f"stepwell_shards{{{node}}}": "8x80", f"stepwell_shards_owned{{{node}}}": "7x80"},
            ["StepwellShardsUnowned"],
        ),
        (
            {
                "stepwell_requests_total" + start % ("OK", "200"): "0+100x80",
                "stepwell_requests_total" + start % ("InternalFailure", "500"): "0+5x80",
            },
            ["StepwellServerErrors"],
        ),
        (
            {
                "stepwell_requests_total" + start % ("OK", "200"): "0+100x80",
                "stepwell_requests_total" + start % ("ThrottlingException", "400"): "0+1x80",
            },
            ["StepwellThrottling"],
        ),
        (
            {bucket % "1.0": "0+90x80", bucket % "2.5": "0+100x80", bucket % "+Inf": "0+100x80"},
            ["StepwellSlowStarts"],
        ),
        (
            {
                f'stepwell_slots{{{node},kind="http"}}': "1000x80",
                f'stepwell_slots_taken{{{node},kind="http"}}': "1000x80",
                f'stepwell_effects_queued{{{node},kind="http"}}': "7x80",
            },
            ["StepwellSlotsFull"],
        ),
        (
            {f"stepwell_database_synchronous_standbys{{{node}}}": "1x40 0x40"},
            ["StepwellNoStandby"],
        ),
        ({f"stepwell_database_synchronous_standbys{{{node}}}": "0x80"}, []),  # never had one
        (
            {f"stepwell_database_oldest_transaction_seconds{{{node}}}": "3500+15x80"},
            ["StepwellOldTransaction"],
        ),
        ({f"stepwell_trace_events_dropped_total{{{node}}}": "0+1x80"}, ["StepwellTelemetryLost"]),
    ]
    tests = [
        {
            "interval": "15s",
            "input_series": [{"series": each, "values": series[each]} for each in series],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": "20m",
                    "exp_samples": [
                        {"labels": f'{{alertname="{name}"}}', "value": 1} for name in names
                    ],
                }
            ],
        }
        for series, names in cases
    ]
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "tests": tests}))
    promtool("test", "rules", file)


def test_every_panel_says_what_it_shows() -> None:
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids)) > 25
    assert all(panel["title"] and panel["targets"] for panel in panels())
    assert not re.findall(r'"uid": "(?!stepwell|\$\{datasource\})', DASHBOARD.read_text())


def test_every_alert_has_its_section_in_the_runbook() -> None:
    runbook = (ROOT / "docs" / "how-to" / "runbook.md").read_text()
    names = [rule["alert"] for rule in alerts()]
    assert re.findall(r"^### (Stepwell\w+)$", runbook, re.MULTILINE) == names
    assert {rule["labels"]["severity"] for rule in alerts()} == {"page", "ticket"}
