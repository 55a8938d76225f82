"""Generated manifests are fresh; rules and dashboards come into them as they are."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy import pod_checks
from tests.deploy.known import known_settings
from tests.deploy.kustomize import ROOT, renderer
from tests.deploy.manifests import Objects, get, of_kind, rendered

RULES = {
    "groups": [
        {
            "name": "sample",
            "rules": [
                {
                    "alert": "Sample",
                    "expr": 'sum(rate(headrace_sample_total{outcome!="a"}[5m])) > 0',
                    "for": "5m",
                    "labels": {"severity": "page"},
                    "annotations": {"summary": "{{ $labels.service }} counts {{ $value }}"},
                }
            ],
        }
    ]
}
DASHBOARD = {"title": "Sample", "panels": [{"expr": 'rate(x{a="$b"}[5m])'}]}


def generate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "kubernetes/generate.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the folder deploy/."""
    return Path(shutil.copytree(ROOT / "deploy", tmp_path / "deploy"))


def render(folder: Path) -> Objects:
    command = [*renderer(), str(folder / "kubernetes/overlays/production")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def test_what_is_generated_is_fresh() -> None:
    done = generate(ROOT / "deploy", "--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_file_is_named_and_written_anew_and_one_without_a_source_goes(copy: Path) -> None:
    (old := copy / "prometheus/rule-old.yaml").write_text("kind: PrometheusRule\n", encoding="utf-8")
    topics = copy / "kubernetes/base/kafka/topics.yaml"
    fresh = topics.read_text("utf-8")
    topics.write_text(fresh.replace("partitions: 24", "partitions: 12"), encoding="utf-8")
    done = generate(copy, "--check")
    assert done.returncode == 1
    assert "deploy/kubernetes/base/kafka/topics.yaml is stale: run `make generate`" in done.stderr
    assert "deploy/prometheus/rule-old.yaml is stale" in done.stderr
    assert generate(copy).returncode == 0
    assert not old.exists()
    assert topics.read_text("utf-8") == fresh


def test_rules_and_dashboards_come_as_they_are(copy: Path) -> None:
    (copy / "prometheus/sample.yml").write_text(yaml.safe_dump(RULES), encoding="utf-8")
    (copy / "prometheus/sample_test.yml").write_text("rule_files: [sample.yml]\n", encoding="utf-8")
    (copy / "prometheus/scrape.yml").write_text("scrape_configs: []\n", encoding="utf-8")
    (copy / "grafana/dashboards").mkdir(exist_ok=True)
    (copy / "grafana/dashboards/sample.json").write_text(json.dumps(DASHBOARD), encoding="utf-8")
    assert generate(copy).returncode == 0
    objects = render(copy)
    names = [one["metadata"]["name"] for one in of_kind(objects, "PrometheusRule")]
    assert "headrace-sample" in names
    assert not {"headrace-sample_test", "headrace-scrape"} & set(names)
    rule = next(one for one in of_kind(objects, "PrometheusRule") if one["metadata"]["name"] == "headrace-sample")
    assert rule["spec"] == RULES
    board = next(one for one in of_kind(objects, "ConfigMap") if one["metadata"]["name"] == "dashboard-sample")
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(board["data"]["sample.json"]) == DASHBOARD


def test_every_component_fits(copy: Path) -> None:
    production = copy / "kubernetes/overlays/production/kustomization.yaml"
    content = yaml.safe_load(production.read_text("utf-8"))
    every = sorted(path.name for path in (copy / "kubernetes/components").iterdir())
    assert {"keda", "backup", "valkey-tls", "email", "sms"} < set(every)
    content["components"] = [f"../../components/{name}" for name in every]
    production.write_text(yaml.safe_dump(content), encoding="utf-8")
    objects = render(copy)
    assert list(pod_checks.mounts(objects)) == []
    assert list(pod_checks.known_settings(objects, known_settings())) == []
    container = get(objects, "Deployment", "messenger")["spec"]["template"]["spec"]["containers"][0]
    names = {one["name"] for one in container["env"]}
    channels = ("EMAIL_URL", "SMS_URL", "VIBER_URL", "WHATSAPP_URL", "WEBHOOK_SECRET")
    assert {f"HEADRACE_{channel}_FILE" for channel in channels} <= names


def test_production_has_every_rule_and_dashboard_there_is() -> None:
    objects = rendered("production")
    files = [
        yaml.safe_load(path.read_text("utf-8")) for path in sorted((ROOT / "deploy/prometheus").glob("*.yml"))
    ]
    rules = [content["groups"] for content in files if "groups" in content]
    assert [one["spec"]["groups"] for one in of_kind(objects, "PrometheusRule")] == rules
    boards = {path.name for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")}
    found = [
        one for one in of_kind(objects, "ConfigMap") if "grafana_dashboard" in one["metadata"].get("labels", {})
    ]
    assert {name for one in found for name in one["data"]} == boards
