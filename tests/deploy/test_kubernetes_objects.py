"""What belongs together is there, finds each other and fits; each check fails where something does not."""

from functools import partial

import pytest

from tests.deploy import network, object_checks, schemas
from tests.deploy.breaking import CONTAINER, GONE, POD, Break, Check
from tests.deploy.manifests import OVERLAYS, get, of_kind, rendered

PARTITIONS = 24

CHECKS: dict[str, Check] = {
    "schemas": partial(schemas.wrong, version=schemas.NEWEST),
    "oldest_schemas": partial(schemas.wrong, version=schemas.OLDEST),
    "complete": object_checks.complete,
    "selected": object_checks.selected,
    "ports": object_checks.ports,
    "disruption": object_checks.disruption,
    "scaled": partial(object_checks.scaled, partitions=PARTITIONS),
    "namespaced": object_checks.namespaced,
    "default_deny": network.default_deny,
}

ACL = ("spec", "authorization", "acls", 0)
BROKEN = [
    ("schemas", Break("Deployment", "ingest", (*POD, "terminationGracePeriod"), 60)),
    ("schemas", Break("Deployment", "ingest", (*CONTAINER, "env", 0, "value"), 8)),
    ("oldest_schemas", Break("Deployment", "ingest", (*POD, "terminationGracePeriod"), 60)),
    ("schemas", Break("Deployment", "ingest", ("apiVersion",), "apps/v1beta1")),
    ("schemas", Break("Kafka", "headrace", ("apiVersion",), "kafka.strimzi.io/v1beta2")),
    ("schemas", Break("Kafka", "headrace", ("spec", "kafka", "replicas"), 3)),
    ("schemas", Break("Kafka", "headrace", ("spec", "kafka", "config", "listeners"), "x")),
    ("schemas", Break("Kafka", "headrace", ("spec", "kafka", "listeners", 0, "tls"), False)),
    ("schemas", Break("Kafka", "headrace", ("spec", "kafka", "listeners", 0, "networkPolicyPeers"), [])),
    ("schemas", Break("Kafka", "headrace", ("spec", "kafka", "authorization"), GONE)),
    ("schemas", Break("KafkaNodePool", "broker", ("spec", "template", "kafkaContainer"), GONE)),
    ("schemas", Break("KafkaNodePool", "broker", ("metadata", "labels", "strimzi.io/cluster"), GONE)),
    ("schemas", Break("KafkaTopic", "cdp.events.v1", ("spec", "partitions"), "24")),
    ("schemas", Break("KafkaUser", "headrace-ingest", (*ACL, "operation"), "Read")),
    ("schemas", Break("KafkaUser", "headrace-ingest", (*ACL, "operations"), ["All"])),
    ("schemas", Break("KafkaUser", "headrace-ingest", (*ACL, "resource", "name"), "*")),
    ("schemas", Break("KafkaUser", "headrace-ingest", (*ACL, "resource", "type"), "cluster")),
    ("schemas", Break("Cluster", "headrace-postgres", ("spec", "enableSuperuserAccess"), True)),
    (
        "schemas",
        Break("Cluster", "headrace-postgres", ("spec", "postgresql", "parameters", "max_connections"), 800),
    ),
    ("schemas", Break("ScheduledBackup", "headrace-nightly", ("spec", "schedule"), "0 2 * * *")),
    ("schemas", Break("ObjectStore", "headrace-backup", ("spec", "retentionPolicy"), GONE)),
    ("schemas", Break("ServiceMonitor", "ingest", ("spec", "endpoints", 0, "targetPort"), 8080)),
    ("schemas", Break("PodMonitor", "postgres", ("spec", "podMetricsEndpoints"), GONE)),
    ("schemas", Break("ScaledObject", "profiles", ("spec", "triggers", 0, "metadata", "lagThreshold"), 2000)),
    ("schemas", Break("TriggerAuthentication", "kafka", ("spec", "secretTargetRef", 0, "parameter"), "passwort")),
    ("complete", Break("Deployment", "ingest", (), GONE)),
    ("complete", Break("Service", "messenger", (), GONE)),
    ("complete", Break("PodDisruptionBudget", "profiles", (), GONE)),
    ("complete", Break("ServiceMonitor", "segmenter", (), GONE)),
    ("complete", Break("NetworkPolicy", "ingest", (), GONE)),
    ("complete", Break("HorizontalPodAutoscaler", "ingest", (), GONE)),
    ("complete", Break("ScaledObject", "messenger", (), GONE)),
    ("selected", Break("Service", "ingest", ("spec", "selector", "app.kubernetes.io/component"), "messenger")),
    ("selected", Break("Service", "ingest", ("spec", "selector"), GONE)),
    ("selected", Break("Deployment", "ingest", ("spec", "selector", "matchLabels", "app"), "ingest")),
    ("selected", Break("PodDisruptionBudget", "ingest", ("spec", "selector"), {})),
    ("selected", Break("ServiceMonitor", "ingest", ("spec", "selector"), {})),
    ("selected", Break("Deployment", "ingest", (*POD, "topologySpreadConstraints"), [])),
    ("selected", Break("Service", "ingest", ("metadata", "labels", "app.kubernetes.io/component"), "other")),
    ("ports", Break("Service", "ingest", ("spec", "ports", 0, "targetPort"), "web")),
    ("ports", Break("Service", "ingest", ("spec", "ports", 0, "port"), 80)),
    ("ports", Break("Deployment", "profiles", (*CONTAINER, "ports", 0, "containerPort"), 8080)),
    ("ports", Break("ServiceMonitor", "ingest", ("spec", "endpoints", 0, "port"), "metrics")),
    (
        "ports",
        Break(
            "Ingress",
            "events",
            ("spec", "rules", 0, "http", "paths", 0, "backend", "service", "name"),
            "collector",
        ),
    ),
    ("disruption", Break("PodDisruptionBudget", "ingest", ("spec", "maxUnavailable"), 0)),
    ("disruption", Break("Deployment", "ingest", ("spec", "strategy"), {"type": "Recreate"})),
    ("scaled", Break("Deployment", "ingest", ("spec", "replicas"), 1)),
    ("scaled", Break("HorizontalPodAutoscaler", "ingest", ("spec", "scaleTargetRef", "name"), "messenger")),
    ("scaled", Break("ScaledObject", "segmenter", ("spec", "maxReplicaCount"), PARTITIONS + 1)),
    ("scaled", Break("ScaledObject", "segmenter", ("spec", "minReplicaCount"), 0)),
    ("namespaced", Break("Deployment", "ingest", ("metadata", "namespace"), "default")),
    (
        "namespaced",
        Break("Namespace", "headrace", ("metadata", "labels", "pod-security.kubernetes.io/enforce"), "baseline"),
    ),
    ("namespaced", Break("Namespace", "headrace", (), GONE)),
    ("namespaced", Break("Service", "ingest", ("metadata", "labels", "headrace.io/step"), GONE)),
    ("default_deny", Break("NetworkPolicy", "default-deny", (), GONE)),
    ("default_deny", Break("NetworkPolicy", "default-deny", ("spec", "egress"), [{}])),
    ("default_deny", Break("NetworkPolicy", "default-deny", ("spec", "policyTypes"), ["Ingress"])),
]

# With the rules and the dashboards this is everything that production must hold.
HELD = {
    "Namespace", "ConfigMap", "ServiceAccount", "Deployment", "Service", "Ingress", "HorizontalPodAutoscaler",
    "PodDisruptionBudget", "NetworkPolicy", "Job", "StatefulSet", "Kafka", "KafkaNodePool", "KafkaTopic",
    "KafkaUser", "Cluster", "ScheduledBackup", "ObjectStore", "ServiceMonitor", "PodMonitor", "ScaledObject",
    "TriggerAuthentication",
}  # fmt: skip


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("check", CHECKS)
def test_every_object(overlay: str, check: str) -> None:
    assert list(CHECKS[check](rendered(overlay))) == []


@pytest.mark.parametrize(("check", "broken"), BROKEN, ids=str)
def test_what_does_not_fit_is_found(check: str, broken: Break) -> None:
    objects = rendered("production")
    broken.apply(objects)
    if "schemas" in check:  # each object by itself, and reading the schemas takes most of the time
        objects = of_kind(objects, broken.kind)
    assert list(CHECKS[check](objects)) != []


def test_every_check_has_found_something() -> None:
    assert {check for check, _ in BROKEN} == set(CHECKS)


def test_production_holds_everything() -> None:
    assert {one["kind"] for one in rendered("production")} - {"PrometheusRule"} == HELD


def test_production_has_no_secret_and_an_engine_that_dies_loses_nothing() -> None:
    objects = rendered("production")
    assert [one for one in objects if one["kind"] == "Secret"] == []
    postgres = get(objects, "Cluster", "headrace-postgres")["spec"]
    assert postgres["instances"] >= 3
    assert postgres["postgresql"]["synchronous"]["dataDurability"] == "required"
    assert postgres["postgresql"]["synchronous"]["failoverQuorum"] is True
    kafka = get(objects, "Kafka", "headrace")["spec"]["kafka"]
    assert get(objects, "KafkaNodePool", "broker")["spec"]["replicas"] >= 3
    assert kafka["config"]["min.insync.replicas"] == 2
    valkey = get(objects, "StatefulSet", "valkey")["spec"]
    assert valkey["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
