"""The files in `ops/` fit to each other and to what the server gives."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from caxton.server.metrics import CATALOGUE
from tests.docs.tables import assert_same, read_page, rows, words
from tests.prometheus import OPS, ROOT, boards, metrics_in, queries, rules

if TYPE_CHECKING:
    from collections.abc import Iterator

METRICS = {figure.metric.name: figure.metric for figure in CATALOGUE}
RULES = {rule["alert"]: rule for rule in rules()}
BOARDS = boards()
QUERIES = [rule["expr"] for rule in RULES.values()] + [query for board in BOARDS.values() for query in queries(board)]

FOUNDING = {
    "HighErrorRate": ("rate(caxton_errors_total[5m]) > 0.1", "2m", "critical", "High error rate detected"),
    "AgentDown": ('up{job="caxton-agents"} == 0', "1m", "warning", "Agent {{ $labels.instance }} is down"),
    "HighLatency": (
        "histogram_quantile(0.99, rate(caxton_request_duration_seconds_bucket[5m])) > 0.1", "5m", "warning",
        "High latency detected",
    ),
}  # fmt: skip
"""The alarms of the founding documents: expression, for how long, severity, summary."""


def read(name: str) -> Any:
    return yaml.safe_load((OPS / name).read_text())


def test_alarms_of_the_founding_documents_are_there_as_they_were_written() -> None:
    found = {
        name: (rule["expr"], rule["for"], rule["labels"]["severity"], rule["annotations"]["summary"])
        for name, rule in RULES.items()
        if name in FOUNDING
    }
    assert found == FOUNDING


def test_backlog_dead_letters_fsync_and_breaker_have_alarms() -> None:
    assert {"MessageBacklog", "DeadLetters", "SlowFsync", "CircuitOpen", "AgentConversationTimeout"} <= set(RULES)


def test_every_alarm_says_how_grave_it_is_and_what_happened() -> None:
    assert {rule["labels"]["severity"] for rule in RULES.values()} == {"critical", "warning"}
    assert all(rule["annotations"]["summary"] for rule in RULES.values())


def test_every_alarm_has_a_case_in_which_it_goes_off_and_one_in_which_it_does_not() -> None:
    cases = [case for test in read("prometheus/rules.test.yml")["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == set(RULES)
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == set(RULES)


@pytest.mark.parametrize("query", QUERIES)
def test_metrics_and_labels_that_are_asked_for_exist(query: str) -> None:
    named = metrics_in(query)
    assert set(named) <= set(METRICS)
    known = {label for name in named for label in METRICS[name].labels} | {"instance", "job", "le"}
    assert set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"", query)) <= known
    grouped = [label for labels in re.findall(r"by \(([^)]*)\)", query) for label in re.split(r",\s*", labels)]
    assert set(grouped) <= known


def test_values_of_labels_that_are_asked_for_are_on_the_page() -> None:
    page = read_page("reference/metrics.md")
    asked = {
        value
        for query in QUERIES
        for label, values in re.findall(r"(\w+)(?:=~|!=|=)\"([^\"]*)\"", query)
        if label not in ("instance", "job", "status")
        for value in values.split("|")
    }
    assert len(asked) > 10
    assert {value for value in asked if f"`{value}`" not in page} == set()


def test_every_metric_is_on_a_board() -> None:
    shown = {name for board in BOARDS.values() for query in queries(board) for name in metrics_in(query)}
    assert set(METRICS) - shown == set()


def test_there_are_four_boards_each_with_a_name_and_a_source() -> None:
    assert list(BOARDS) == ["agent-performance", "deployment-health", "security-events", "system-resources"]
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)
    for board in BOARDS.values():
        assert board["title"].startswith("Caxton: ")
        sources = {panel["datasource"]["uid"] for panel in board["panels"]}
        assert sources == {"${datasource}"}
        assert {variable["name"] for variable in board["templating"]["list"]} == {"datasource", "instance"}


@pytest.mark.parametrize("name", BOARDS)
def test_panels_of_a_board_have_titles_and_do_not_overlap(name: str) -> None:
    panels = BOARDS[name]["panels"]
    assert all(panel["title"] for panel in panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        cells = set(_cells(panel["gridPos"]))
        assert not cells & taken, panel["title"]
        taken |= cells
    assert max(x for x, _ in taken) < 24


def _cells(at: dict[str, int]) -> Iterator[tuple[int, int]]:
    return ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"]))


def test_containers_mount_what_is_there_and_have_fixed_versions() -> None:
    for name, service in read("docker-compose.yml")["services"].items():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"]), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (OPS / source).exists(), volume


def test_manual_names_images_by_the_versions_that_are_here() -> None:
    ours = {service["image"] for service in read("docker-compose.yml")["services"].values()}
    named = {
        image
        for page in (ROOT / "docs").rglob("*.md")
        for command in re.findall(r"docker run [^\n]*", page.read_text())
        for image in re.findall(r"[\w.-]+/[\w./-]+:[\w.-]+", command)
    }
    assert named <= ours
    assert named


def test_nothing_is_opened_to_other_machines() -> None:
    services = read("docker-compose.yml")["services"]
    text = (OPS / "docker-compose.yml").read_text() + (OPS / "otel-collector.yaml").read_text()
    addresses = re.findall(r"(?m)(?:address=|ADDR: |endpoint: |- )((?:[\d.]+|localhost)?:?\d*:\d+)", text)
    assert len(addresses) > 4
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", ()))
    assert services["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_pipelines_of_the_collector_are_made_of_what_it_has() -> None:
    collector = read("otel-collector.yaml")
    pipelines = collector["service"]["pipelines"]
    assert set(pipelines) == {"traces", "metrics", "logs"}
    for kind in ("receivers", "processors", "exporters"):
        used = {name for pipeline in pipelines.values() for name in pipeline[kind]}
        assert used == set(collector[kind]), kind


def test_collector_and_boards_find_their_partners() -> None:
    collector, compose = read("otel-collector.yaml"), read("docker-compose.yml")["services"]
    assert f"{collector['exporters']['otlp/jaeger']['endpoint']}:4317" in compose["jaeger"]["ports"]
    sources = read("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    listen = next(part for part in compose["prometheus"]["command"] if "listen-address" in part)
    assert sources[0]["url"] == f"http://{listen.partition('=')[2]}"
    (provider,) = read("grafana/provisioning/dashboards/caxton.yml")["providers"]
    assert f"./grafana:{provider['options']['path']}:ro" in compose["grafana"]["volumes"]


def test_alarms_on_the_page_are_those_that_there_are() -> None:
    page = read_page("howto/set-up-monitoring.md")
    assert_same("alarms", code=RULES, page=[name for row in rows(page, "Alarm", "Goes off") for name in words(row[0])])
