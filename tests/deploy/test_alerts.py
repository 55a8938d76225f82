"""Alerts fire when they should and are quiet when they should be, by Prometheus' own reckoning."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.promtool import run
from tests.unit.repository.tree import ROOT

FOLDER = ROOT / "deploy" / "prometheus"
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))
CASES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
ALERTS = [
    (rule["alert"], rule["labels"]["severity"])
    for group in RULES["groups"]
    for rule in group["rules"]
    if "alert" in rule
]


def test_the_rules_and_the_configuration_are_valid() -> None:
    for arguments in (("rules", FOLDER / "alerts.yml"), ("config", FOLDER / "prometheus.yml")):
        done = run("check", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_every_case_comes_out_as_written() -> None:
    done = run("test", "rules", FOLDER / "alerts_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("alert", "severity"), ALERTS, ids=lambda value: str(value))
def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert: str, severity: str) -> None:
    asked = f'ALERTS{{alertname="{alert}",alertstate="firing",severity="{severity}"}}'
    checks = [check for case in CASES for check in case["promql_expr_test"] if check["expr"] == asked]
    assert any(check["exp_samples"] for check in checks), "it never fires"
    assert any(not check["exp_samples"] for check in checks), "it is never quiet"


@pytest.mark.parametrize(
    ("alert", "right", "wrong"),
    [
        ("HeadraceClockSkew", "> 2\n", "> 5000\n"),
        ("HeadraceClockSkew", "> 2\n", "> 0.01\n"),
        ("HeadracePartitionHalted", "for: 1m", "for: 1h"),
    ],
)
def test_a_rule_that_is_wrong_is_found(tmp_path: Path, alert: str, right: str, wrong: str) -> None:
    """Otherwise the cases would prove nothing."""
    rules = (FOLDER / "alerts.yml").read_text(encoding="utf-8")
    before, name, after = rules.partition(f"alert: {alert}\n")
    assert right in after
    (tmp_path / "alerts.yml").write_text(before + name + after.replace(right, wrong, 1), encoding="utf-8")
    cases = [case for case in CASES if case["name"].startswith(alert)]
    document = {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    done = run("test", "rules", tmp_path / "cases.yml")
    assert done.returncode != 0
    assert alert in done.stdout + done.stderr
