"""Writes the manifests that say what the code says already, or wrap a file that lies elsewhere.

    python deploy/kubernetes/generate.py            rewrite them
    python deploy/kubernetes/generate.py --check    exit code 1 when one is stale

From headrace/contracts/topics.py: a KafkaTopic for each topic, a KafkaUser for each service. From the rule files
in deploy/prometheus: PrometheusRules. From deploy/grafana/dashboards: the ConfigMaps with them.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from headrace.contracts import topics
from headrace.contracts.topics import TOPICS, Topic
from headrace.log.kafka.topics import COPIES, settings_of

DEPLOY = Path(__file__).resolve().parents[1]
CLUSTER = "headrace"
PARTITIONS = 24
HORIZON_MS = 24 * 3_600_000

GROUPS = {
    "profiles": topics.PROFILES_GROUP,
    "segmenter": topics.SEGMENTER_GROUP,
    "messenger": topics.MESSENGER_GROUP,
}
SERVICES = ("ingest", *GROUPS)

# Beyond what a topic's declaration says. Whoever publishes numbered rows reads the end of its own topic before it
# goes on; ingest lists dead letters, profiles looks through them for erased people.
ALSO_READ: Mapping[str, tuple[Topic, ...]] = {
    "ingest": (topics.DEAD_LETTERS,),
    "profiles": (topics.PROFILE_EVENTS, topics.DEAD_LETTERS),
    "segmenter": (topics.SEGMENT_CHANGES, topics.COMPUTED_TRAITS),
    "messenger": (topics.MESSAGES,),
}
# `headrace dead-letters replay` puts a letter back to where it came from.
REPLAYED = tuple(topic for topic in TOPICS if topic.groups)
ALSO_WRITTEN: Mapping[str, tuple[Topic, ...]] = {"ingest": REPLAYED}

HEADER = "# Written by deploy/kubernetes/generate.py: do not edit, run `make generate`.\n"


def documents() -> dict[Path, str]:
    """Each file's text, by its path."""
    return {
        DEPLOY / "kubernetes/base/kafka/topics.yaml": _text(*map(kafka_topic, TOPICS)),
        DEPLOY / "kubernetes/base/kafka/users.yaml": _text(*map(kafka_user, SERVICES)),
        **dict(_rules(DEPLOY / "prometheus")),
        DEPLOY / "grafana/kustomization.yaml": _text(_dashboards(DEPLOY / "grafana")),
    }


def kafka_topic(topic: Topic) -> dict[str, Any]:
    """The topic as services would create it, and demand it."""
    settings = settings_of(topic, HORIZON_MS, COPIES)
    return {
        **_head("KafkaTopic", topic.name),
        "spec": {
            "partitions": PARTITIONS,
            "replicas": COPIES,
            "config": {name: int(value) if value.isdigit() else value for name, value in settings.items()},
        },
    }


def kafka_user(service: str) -> dict[str, Any]:
    """A password, and the least that the service needs. Every service checks at its start how all topics are set
    (DescribeConfigs). Strimzi's Secret of the same name has the password."""
    acls = [_acl("topic", topic.name, _operations(service, topic)) for topic in TOPICS]
    if group := GROUPS.get(service):
        acls.append(_acl("group", group, ["Read"]))
    return {
        **_head("KafkaUser", f"headrace-{service}"),
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": acls},
        },
    }


def _operations(service: str, topic: Topic) -> list[str]:
    reads = GROUPS.get(service) in topic.groups or topic in ALSO_READ.get(service, ())
    writes = service in topic.senders or topic in ALSO_WRITTEN.get(service, ())
    return ["Describe", "DescribeConfigs", *(["Read"] if reads else []), *(["Write"] if writes else [])]


def _acl(kind: str, name: str, operations: list[str]) -> dict[str, Any]:
    return {"resource": {"type": kind, "name": name, "patternType": "literal"}, "operations": operations}


def _head(kind: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": CLUSTER}},
    }


def _rules(folder: Path) -> Iterator[tuple[Path, str]]:
    """A PrometheusRule for each file of rules, beside it, and what lists them."""
    names = []
    for path in sorted(folder.glob("*.yml")):
        content = yaml.safe_load(path.read_text("utf-8"))
        if not path.stem.endswith("_test") and isinstance(content, dict) and "groups" in content:
            names.append(f"rule-{path.stem}.yaml")
            yield folder / names[-1], _text(prometheus_rule(path.stem, content))
    listing = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": names}
    yield folder / "kustomization.yaml", _text(listing)


def prometheus_rule(name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The rule file's groups, as Prometheus' operator takes them."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": f"headrace-{name}", "labels": {"app.kubernetes.io/name": "headrace"}},
        "spec": {"groups": content["groups"]},
    }


def _dashboards(folder: Path) -> dict[str, Any]:
    """A ConfigMap for each dashboard. Grafana's sidecar finds them by the label."""
    found = sorted((folder / "dashboards").glob("*.json"))
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "generatorOptions": {"disableNameSuffixHash": True, "labels": {"grafana_dashboard": "1"}},
        "configMapGenerator": [
            {"name": f"dashboard-{path.stem}", "files": [f"dashboards/{path.name}"]} for path in found
        ],
    }


class _Dumper(yaml.SafeDumper):
    """Lists are indented below their key, as everywhere here."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(*objects: Mapping[str, Any]) -> str:
    dumped = [yaml.dump(one, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True) for one in objects]
    return HEADER + "---\n".join(dumped)


def _stale(found: Mapping[Path, str]) -> list[Path]:
    wrong = [path for path, text in found.items() if not path.exists() or path.read_text("utf-8") != text]
    gone = [path for path in (DEPLOY / "prometheus").glob("rule-*.yaml") if path not in found]
    return wrong + gone


def main(arguments: list[str]) -> int:
    """The exit code."""
    found = documents()
    if arguments == ["--check"]:
        stale = _stale(found)
        for path in stale:
            sys.stderr.write(
                f"{path.relative_to(DEPLOY.parent)} is stale: run `make generate` and commit the result\n"
            )
        return 1 if stale else 0
    for path in _stale(found):
        if path in found:
            path.write_text(found[path], encoding="utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
