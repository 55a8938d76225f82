"""Alerts, dashboards and runbooks name what there is: series with their labels, commands, pages."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from headrace.cli.main import app
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
def test_runbooks_name_series_and_labels_that_there_are(page: Path) -> None:
    assert list(wrong(page.read_text(encoding="utf-8"), KNOWN)) == []


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ('rate(headrace_no_such_total{job="x"}[5m])', "headrace_no_such_total is no series of ours"),
        ("headrace_messages", "headrace_messages is no series of ours"),
        ('headrace_lag_records{segment="vip"}', "headrace_lag_records has no label segment"),
        ("sum by (channel) (headrace_lag_records)", "no series in the query has the label channel"),
    ],
)
def test_what_is_not_there_is_found(query: str, fault: str) -> None:
    assert [*wrong(query, KNOWN), *ungroupable(query, KNOWN)] == [fault]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_an_alert_says_how_bad_it_is_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert alert["annotations"]["summary"].endswith(".")
    words = re.findall(r"[A-Z][a-z]+", alert["alert"].removeprefix("Headrace"))
    page = f"docs/runbooks/{'-'.join(words).lower()}.md"
    assert alert["annotations"]["runbook_url"] == page
    assert (ROOT / page).is_file()


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_a_runbook_belongs_to_an_alert_and_has_every_part(page: Path) -> None:
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
def test_the_commands_in_runbooks_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"^ *(headrace [a-z].+)$|`(headrace [a-z][^`]+)`", text, re.MULTILINE)
    for line in (first or second for first, second in lines):
        assert list(mistakes(line.split()[1:])) == [], line


def mistakes(words: list[str], command: Any = None) -> Iterator[str]:
    """Commands and options in a line that the command does not have."""
    command = command or typer.main.get_command(app)
    subcommands = getattr(command, "commands", None)
    if subcommands and words and not words[0].startswith("-"):
        if words[0] in subcommands:
            yield from mistakes(words[1:], subcommands[words[0]])
        else:
            yield words[0]
        return
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
    yield from (word for word in words if word.startswith("-") and word not in known)


def test_a_command_that_is_not_there_is_found() -> None:
    assert list(mistakes(["dead-letters", "replay", "--reason", "event_too_large"])) == []
    assert list(mistakes(["mend"])) == ["mend"]
    assert list(mistakes(["dead-letters", "burn"])) == ["burn"]
    assert list(mistakes(["verify", "vip", "--harder"])) == ["--harder"]


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_what_runbooks_quote_of_logs_and_answers_stands_in_the_code(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    quoted = set(re.findall(r"`([a-z]+_[a-z_]+)`", text))
    settings = set(re.findall(r"HEADRACE_[A-Z_]+", text))
    assert {name for name in quoted - KNOWN.keys() if name not in _code()} == set()
    assert {name for name in settings if name not in _code() + _documented()} == set()


@lru_cache(maxsize=1)
def _code() -> str:
    files = [path for top in ("headrace", "services") for path in (ROOT / top).rglob("*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@lru_cache(maxsize=1)
def _documented() -> str:
    return (ROOT / "docs/settings.md").read_text(encoding="utf-8")


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
