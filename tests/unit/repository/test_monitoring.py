"""Alerts, dashboards and runbooks name what there is: series with their labels, commands, pages."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.unit.repository.monitoring import series, ungroupable, wrong
from tests.unit.repository.tree import ROOT

KNOWN = series()
GROUPS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
DASHBOARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
}
RUNBOOKS = sorted((ROOT / "docs/runbooks").glob("*.md"))
SECTIONS = ["What it means", "What it harms", "How to look", "How to mend", "How to know that it is over"]


def queries(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (one["definition"] for one in dashboard["templating"]["list"] if "definition" in one)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.get("alert") or rule.get("record")))
def test_rules_name_series_and_labels_that_there_are(rule: dict[str, Any]) -> None:
    assert [*wrong(rule["expr"], KNOWN), *ungroupable(rule["expr"], KNOWN)] == []
    for name in re.findall(r"headrace:[a-z_]+:[a-z0-9_]+", rule["expr"]):
        assert name in RECORDED


@pytest.mark.parametrize("name", ["platform", "segments", "campaigns"])
def test_dashboards_name_series_and_labels_that_there_are(name: str) -> None:
    found = [
        fault
        for query in queries(DASHBOARDS[name])
        for fault in (*wrong(query, KNOWN), *ungroupable(query, KNOWN))
    ]
    assert found == []


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_runbooks_name_series_and_labels_that_there_are(page: Any) -> None:
    assert list(wrong(page.read_text(encoding="utf-8"), KNOWN)) == []


def test_what_is_not_there_is_found() -> None:
    assert list(wrong('rate(headrace_no_such_total{job="x"}[5m])', KNOWN)) == [
        "headrace_no_such_total is no series of ours"
    ]
    assert list(wrong("headrace_messages", KNOWN)) == ["headrace_messages is no series of ours"], (
        "a counter's name"
    )
    assert list(wrong('headrace_lag_records{segment="vip"}', KNOWN)) == [
        "headrace_lag_records has no label segment"
    ]
    assert list(ungroupable("sum by (channel) (headrace_lag_records)", KNOWN)) == [
        "no series in the query has the label channel"
    ]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_an_alert_says_how_bad_it_is_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert alert["annotations"]["summary"].endswith(".")
    words = re.findall(r"[A-Z][a-z]+", alert["alert"].removeprefix("Headrace"))
    page = f"docs/runbooks/{'-'.join(words).lower()}.md"
    assert alert["annotations"]["runbook_url"] == page
    assert (ROOT / page).is_file()


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_a_runbook_belongs_to_an_alert_and_has_every_part(page: Any) -> None:
    text = page.read_text(encoding="utf-8")
    named = {alert["alert"] for alert in ALERTS if alert["annotations"]["runbook_url"].endswith(f"/{page.name}")}
    if page.stem != "index":
        assert named == {text.splitlines()[0].removeprefix("# ")}
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS


def test_the_list_of_runbooks_has_them_all() -> None:
    text = (ROOT / "docs/runbooks/index.md").read_text(encoding="utf-8")
    for alert in ALERTS:
        page = alert["annotations"]["runbook_url"].rpartition("/")[2]
        assert f"[{alert['alert']}]({page})" in text


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_the_commands_in_runbooks_exist(page: Any) -> None:
    """Their first words, as the command's own help knows them."""
    for command in re.findall(
        r"\bheadrace ([a-z][a-z-]*(?: [a-z][a-z-]+)?)", _code(page.read_text(encoding="utf-8"))
    ):
        known = _commands()
        assert command in known or command.split()[0] in known, f"headrace {command}"


def _code(text: str) -> str:
    blocks = re.findall(r"^    (headrace .+)$", text, re.MULTILINE)
    return "\n".join([*blocks, *re.findall(r"`(headrace [^`]+)`", text)])


def _commands() -> set[str]:
    tree = (ROOT / "headrace/cli").glob("*.py")
    text = "\n".join(path.read_text(encoding="utf-8") for path in tree)
    return set(re.findall(r'add_parser\(\s*"([a-z-]+)"', text)) | {"serve", "migrate"}


@pytest.mark.parametrize("name", ["platform", "segments", "campaigns"])
def test_a_dashboard_is_whole(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in dashboard["panels"]:
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"
        assert panel["type"] == "row" or panel["targets"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    assert _overlaps(dashboard["panels"]) == []


def _overlaps(panels: list[dict[str, Any]]) -> list[tuple[str, str]]:
    taken: dict[tuple[int, int], str] = {}
    found = []
    for panel in panels:
        at = panel["gridPos"]
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            if cell in taken:
                found.append((taken[cell], panel["title"]))
            taken[cell] = panel["title"]
    return found


def test_the_dashboards_are_as_their_source_says() -> None:
    done = subprocess.run(
        [sys.executable, "deploy/grafana/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    folder = ROOT / "deploy/grafana/provisioning"
    source = yaml.safe_load((folder / "datasources/prometheus.yml").read_text(encoding="utf-8"))["datasources"][0]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    provider = yaml.safe_load((folder / "dashboards/headrace.yml").read_text(encoding="utf-8"))["providers"][0]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
