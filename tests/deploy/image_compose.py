"""What must hold of deploy/compose.yaml: each check gives what it finds wrong, as sentences."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from headrace import __version__
from headrace.local.postgres import DISCREET
from headrace.runtime.lifecycle import GRACE_SECONDS
from tests.deploy.image_compose_schema import problems
from tests.deploy.known import needed_engines

Document = dict[str, Any]
Check = Callable[[Document], Iterator[str]]

ROOT = Path(__file__).resolve().parents[2]
OURS = f"headrace:{__version__}"
LISTENING = ("ingest", "profiles", "segmenter", "messenger")
ENGINES = {"kafka", "postgres", "valkey"}
# Its start script writes the configuration beside the program.
WRITES_ITS_ROOT = {"kafka"}
_SETTING = re.compile(r"HEADRACE_[A-Z][A-Z_]*[A-Z]")
_SECRET = re.compile(r"/run/secrets/([a-z-]+)")
_TAG = re.compile(r"^[a-z0-9./-]+:v?[0-9][A-Za-z0-9._-]*(?:@sha256:[0-9a-f]{64})?$")


def check_all(document: Document) -> list[str]:
    """Everything that is wrong."""
    if wrong := list(problems(document)):
        return wrong
    return [finding for check in CHECKS for finding in check(document)]


def services(document: Document, *, ours: bool = False) -> Iterator[tuple[str, Document]]:
    for name, service in document["services"].items():
        if not ours or service["image"].startswith("headrace"):
            yield name, service


def images(document: Document) -> Iterator[str]:
    for name, service in services(document):
        if not _TAG.match(service["image"]):
            yield f"{name}: {service['image']} is not pinned by a tag with a version"
    for name, service in services(document, ours=True):
        if service["image"] != OURS:
            yield f"{name}: {service['image']} is not this version, {OURS}"


def confinement(document: Document) -> Iterator[str]:
    for name, service in services(document):
        if service.get("cap_drop") != ["ALL"]:
            yield f"{name} keeps capabilities"
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"{name} may gain privileges"
        if not service.get("read_only") and name not in WRITES_ITS_ROOT:
            yield f"{name} may write its root file system"
        if service.get("privileged") or service.get("network_mode") or service.get("pid"):
            yield f"{name} has something of the host"


def ports(document: Document) -> Iterator[str]:
    for name, service in services(document):
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: {port} is open to other machines"
        if name in ENGINES and (service.get("ports") or service["networks"] != ["engines"]):
            yield f"{name} can be reached by more than the services"
    if not document["networks"]["engines"].get("internal"):
        yield "the engines' network leads outside"


def settings(document: Document) -> Iterator[str]:
    known = set(_SETTING.findall((ROOT / "docs/settings.md").read_text(encoding="utf-8")))
    for name, service in services(document):
        for variable in service.get("environment", {}):
            if variable.startswith("HEADRACE_") and variable.removesuffix("_FILE") not in known:
                yield f"{name}: {variable} is no setting"


def secrets(document: Document) -> Iterator[str]:
    for name, service in services(document):
        text = f"{service.get('environment', {})} {service.get('command', '')}"
        used, given = set(_SECRET.findall(text)), set(service.get("secrets", []))
        for secret in sorted(used ^ given):
            yield f"{name}: the secret {secret} is {'not given' if secret in used else 'given and not used'}"
        for secret in sorted(given - document["secrets"].keys()):
            yield f"{name}: there is no secret {secret}"


def engines(document: Document) -> Iterator[str]:
    """A service is told of the engines that its settings name, reaches them, and starts after them."""
    for name in LISTENING:
        service = document["services"].get(name, {})
        told = {variable.removesuffix("_FILE") for variable in service.get("environment", {})}
        before = _before(document, name)
        if "engines" not in service.get("networks", []):
            yield f"{name} is not in the engines' network"
        for variable, engine in needed_engines(name).items():
            if variable not in told:
                yield f"{name} is not told where {engine} is: {variable}"
            if engine not in before:
                yield f"{name} may start before {engine}"


def _before(document: Document, name: str) -> set[str]:
    """What has started before it, by others too."""
    waits = set(document["services"].get(name, {}).get("depends_on", {}))
    return waits.union(*(_before(document, other) for other in waits))


def discretion(document: Document) -> Iterator[str]:
    """Postgres logs as little of what customers said as the embedded one."""
    given = set(document["services"]["postgres"]["command"])
    for setting in sorted({f"{name}={value}" for name, value in DISCREET.items()} - given):
        yield f"Postgres quotes people in its log: {setting} is missing"


def mounts(document: Document) -> Iterator[str]:
    for name, service in services(document):
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                if not (ROOT / "deploy" / source).exists():
                    yield f"{name}: {source} does not exist"
                if not mount.endswith(":ro"):
                    yield f"{name}: {source} may be written"
            elif source not in document["volumes"]:
                yield f"{name}: there is no volume {source}"


def order(document: Document) -> Iterator[str]:
    for name, service in services(document):
        for other, how in service.get("depends_on", {}).items():
            target = document["services"].get(other)
            if target is None:
                yield f"{name} waits for {other}, which does not exist"
            elif how["condition"] == "service_healthy" and not _has_health(target):
                yield f"{name} waits for the health of {other}, which has no check"
            elif how["condition"] == "service_completed_successfully" and target["restart"] != "on-failure":
                yield f"{name} waits for the end of {other}, which is started again"


def _has_health(service: Document) -> bool:
    """Its own check, or that of our image."""
    check = service.get("healthcheck", {})
    return not check.get("disable") and ("test" in check or service["image"] == OURS)


def endings(document: Document) -> Iterator[str]:
    for name, service in services(document, ours=True):
        if int(service["stop_grace_period"].removesuffix("s")) <= GRACE_SECONDS:
            yield f"{name} is killed before it has finished its requests ({GRACE_SECONDS} s)"


def commands(document: Document) -> Iterator[str]:
    given = [service["command"] for _, service in services(document, ours=True)]
    wanted = [["migrate"], ["topics", "create"]]
    wanted += [["serve", name] for name in LISTENING]
    for command in wanted:
        if given.count(command) != 1:
            yield f"{' '.join(command)} is run by {given.count(command)} services"


def monitoring(document: Document) -> Iterator[str]:
    """What Prometheus and Grafana are told fits the names and places of the file."""
    scrapes = _yaml("prometheus/prometheus.yml").get("scrape_configs", [])
    targets = {target for job in scrapes for config in job["static_configs"] for target in config["targets"]}
    for service in LISTENING:
        if not any(target.startswith(f"{service}:") for target in targets):
            yield f"Prometheus does not ask {service}"
    for target in sorted(targets):
        if target.split(":")[0] not in {*document["services"], "localhost"}:
            yield f"Prometheus asks {target}, which is no service"
    places = {mount.split(":")[1] for mount in document["services"]["grafana"]["volumes"]}
    for provider in _yaml("grafana/provisioning/dashboards/headrace.yml").get("providers", []):
        if provider["options"]["path"] not in places:
            yield f"Grafana looks for dashboards at {provider['options']['path']}, where nothing is mounted"


def _yaml(path: str) -> Document:
    """A file below deploy; empty when it is missing, which `mounts` says."""
    file = ROOT / "deploy" / path
    found: Document = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


CHECKS: Sequence[Check] = (
    images,
    confinement,
    ports,
    settings,
    secrets,
    engines,
    discretion,
    mounts,
    order,
    endings,
    commands,
    monitoring,
)
