"""Every pod of every overlay is as restricted as it can be; each check fails for a pod that is not."""

from functools import partial

import pytest

from headrace.runtime.lifecycle import GRACE_SECONDS
from tests.deploy import pod_checks
from tests.deploy.breaking import CONTAINER, GONE, POD, Break, Check
from tests.deploy.known import known_settings
from tests.deploy.manifests import OVERLAYS, rendered

CHECKS: dict[str, Check] = {
    "restricted": pod_checks.restricted,
    "read_only": pod_checks.read_only,
    "no_token": pod_checks.no_token,
    "no_service_links": pod_checks.no_service_links,
    "resources": pod_checks.resources,
    "probes": pod_checks.probes,
    "images": pod_checks.images,
    "graceful": partial(pod_checks.graceful, grace_seconds=GRACE_SECONDS),
    "mounts": pod_checks.mounts,
    "no_secret_in_environment": pod_checks.no_secret_in_environment,
    "known_settings": lambda objects: pod_checks.known_settings(objects, known_settings()),
}

CONTEXT = (*CONTAINER, "securityContext")
BROKEN = [
    ("restricted", Break("Deployment", "ingest", (*POD, "securityContext", "runAsNonRoot"), GONE)),
    ("restricted", Break("Job", "migrate", (*POD, "securityContext", "runAsUser"), 0)),
    ("restricted", Break("StatefulSet", "valkey", (*POD, "securityContext", "seccompProfile"), GONE)),
    (
        "restricted",
        Break("Deployment", "profiles", (*POD, "securityContext", "seccompProfile", "type"), "Unconfined"),
    ),
    ("restricted", Break("Deployment", "ingest", (*POD, "hostNetwork"), True)),
    ("restricted", Break("Deployment", "ingest", (*POD, "hostPID"), True)),
    (
        "restricted",
        Break("Deployment", "ingest", (*POD, "volumes", -1), {"name": "node", "hostPath": {"path": "/"}}),
    ),
    ("restricted", Break("Deployment", "messenger", (*CONTEXT, "allowPrivilegeEscalation"), GONE)),
    ("restricted", Break("Deployment", "messenger", (*CONTEXT, "privileged"), True)),
    ("restricted", Break("Deployment", "segmenter", (*CONTEXT, "capabilities"), GONE)),
    ("restricted", Break("Deployment", "segmenter", (*CONTEXT, "capabilities", "add"), ["NET_ADMIN"])),
    ("restricted", Break("Deployment", "segmenter", (*CONTEXT, "runAsUser"), 0)),
    ("restricted", Break("Deployment", "ingest", (*CONTAINER, "ports", 0, "hostPort"), 8080)),
    ("restricted", Break("Deployment", "ingest", (*POD, "initContainers"), [{"name": "chown", "image": "sh:1"}])),
    ("read_only", Break("Job", "migrate", (*CONTEXT, "readOnlyRootFilesystem"), False)),
    ("read_only", Break("Deployment", "ingest", (*CONTAINER, "volumeMounts"), [])),
    ("read_only", Break("StatefulSet", "valkey", (*POD, "volumes", -1), {"name": "more", "emptyDir": {}})),
    (
        "read_only",
        Break(
            "Deployment",
            "ingest",
            (*CONTAINER, "volumeMounts", -1),
            {"name": "secrets", "mountPath": "/run/secrets/again"},
        ),
    ),
    ("no_token", Break("Deployment", "ingest", (*POD, "automountServiceAccountToken"), GONE)),
    ("no_token", Break("ServiceAccount", "ingest", ("automountServiceAccountToken",), True)),
    ("no_token", Break("Deployment", "ingest", (*POD, "serviceAccountName"), "default")),
    ("no_token", Break("Deployment", "ingest", (*POD, "serviceAccountName"), "messenger")),
    ("no_token", Break("ServiceAccount", "migrate", (), GONE)),
    ("no_service_links", Break("Deployment", "ingest", (*POD, "enableServiceLinks"), GONE)),
    ("resources", Break("Deployment", "ingest", (*CONTAINER, "resources", "limits", "memory"), GONE)),
    ("resources", Break("Job", "migrate", (*CONTAINER, "resources", "requests"), GONE)),
    ("probes", Break("Deployment", "ingest", (*CONTAINER, "startupProbe"), GONE)),
    ("probes", Break("StatefulSet", "valkey", (*CONTAINER, "readinessProbe"), GONE)),
    ("probes", Break("Deployment", "ingest", (*CONTAINER, "livenessProbe", "httpGet", "port"), "admin")),
    ("probes", Break("Deployment", "ingest", (*CONTAINER, "livenessProbe", "httpGet", "path"), "/readyz")),
    ("images", Break("Deployment", "ingest", (*CONTAINER, "image"), "headrace")),
    ("images", Break("Deployment", "ingest", (*CONTAINER, "image"), "registry.example.com:5000/headrace")),
    ("images", Break("Deployment", "ingest", (*CONTAINER, "image"), "headrace:latest")),
    ("graceful", Break("Deployment", "ingest", (*CONTAINER, "lifecycle"), GONE)),
    ("graceful", Break("Deployment", "ingest", (*POD, "terminationGracePeriodSeconds"), 30)),
    ("graceful", Break("Deployment", "ingest", (*POD, "terminationGracePeriodSeconds"), GONE)),
    ("graceful", Break("Deployment", "ingest", (*CONTAINER, "lifecycle", "preStop", "sleep", "seconds"), 40)),
    ("mounts", Break("Deployment", "ingest", (*CONTAINER, "volumeMounts", 0, "name"), "other")),
    ("mounts", Break("Deployment", "ingest", (*POD, "volumes", -1), {"name": "unused", "emptyDir": {}})),
    (
        "mounts",
        Break(
            "Deployment",
            "ingest",
            (*CONTAINER, "env", -1),
            {"name": "HEADRACE_SURVEY_KEYS_FILE", "value": "/run/secrets/headrace/survey-keys"},
        ),
    ),
    (
        "mounts",
        Break(
            "Deployment",
            "ingest",
            (*CONTAINER, "env", -1),
            {"name": "HEADRACE_LOG_URL", "value": "kafka://u@k:1?ca=/run/secrets/engines/other.crt&tls=true"},
        ),
    ),
    (
        "no_secret_in_environment",
        Break("Deployment", "ingest", (*CONTAINER, "envFrom", -1), {"secretRef": {"name": "headrace-secrets"}}),
    ),
    (
        "no_secret_in_environment",
        Break(
            "Deployment",
            "ingest",
            (*CONTAINER, "env", -1),
            {"name": "HEADRACE_EMAIL_URL", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ),
    ),
    (
        "no_secret_in_environment",
        Break("Deployment", "ingest", (*CONTAINER, "env", -1), {"name": "HEADRACE_ADMIN_TOKEN", "value": "x"}),
    ),
    (
        "no_secret_in_environment",
        Break(
            "Deployment",
            "ingest",
            (*CONTAINER, "env", -1),
            {"name": "HEADRACE_DATABASE_URL", "value": "postgresql://u:p@host/db"},
        ),
    ),
    (
        "known_settings",
        Break(
            "Deployment", "ingest", (*CONTAINER, "env", -1), {"name": "HEADRACE_ADMIN_TOKNE_FILE", "value": "/x"}
        ),
    ),
    ("known_settings", Break("ConfigMap", "headrace-settings", ("data", "HEADRACE_PARTITION"), "24")),
]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("check", CHECKS)
def test_every_pod(overlay: str, check: str) -> None:
    assert list(CHECKS[check](rendered(overlay))) == []


@pytest.mark.parametrize(("check", "broken"), BROKEN, ids=str)
def test_a_pod_that_is_not_is_found(check: str, broken: Break) -> None:
    objects = rendered("production")
    broken.apply(objects)
    assert list(CHECKS[check](objects)) != []


def test_every_check_has_found_something() -> None:
    assert {check for check, _ in BROKEN} == set(CHECKS)
