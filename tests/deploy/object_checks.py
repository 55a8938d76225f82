"""What belongs together, is together: services with all they need, selectors with what they select, ports."""

from collections.abc import Iterator
from typing import Any

from tests.deploy.manifests import SERVICES, Object, Objects, Pod, name_of, of_kind, pods, selects, title

NAMESPACE = "headrace"
COMPANIONS = ("Service", "PodDisruptionBudget", "ServiceAccount", "ServiceMonitor", "NetworkPolicy")


def complete(objects: Objects) -> Iterator[str]:
    """Every service is there, with everything that belongs to one."""
    there = {title(one) for one in objects}
    for name in SERVICES:
        for kind in ("Deployment", *COMPANIONS):
            if f"{kind}/{name}" not in there:
                yield f"there is no {kind} for {name}"
        scaled = {f"HorizontalPodAutoscaler/{name}", f"ScaledObject/{name}"} & there
        if len(scaled) != 1:
            yield f"{name} is scaled by {sorted(scaled) or 'nothing'}"


def selected(objects: Objects) -> Iterator[str]:
    """Each selector finds exactly what it is for."""
    templates = {pod.where: pod for pod in pods(objects)}
    for one in of_kind(objects, "Deployment", "StatefulSet"):
        if not selects(one["spec"]["selector"], templates[title(one)].labels):
            yield f"{title(one)} does not select its own pods"
    for one in of_kind(objects, "Service"):
        yield from _only(objects, one, {"matchLabels": one["spec"].get("selector") or {"": ""}})
    for one in of_kind(objects, "PodDisruptionBudget"):
        yield from _only(objects, one, one["spec"].get("selector"))
    for one in of_kind(objects, "ServiceMonitor"):
        found = [
            s for s in of_kind(objects, "Service") if selects(one["spec"]["selector"], s["metadata"]["labels"])
        ]
        if [name_of(service) for service in found] != [name_of(one)]:
            yield f"{title(one)} selects {[name_of(service) for service in found]}"
    for one in of_kind(objects, "Deployment"):
        spread = one["spec"]["template"]["spec"].get("topologySpreadConstraints", [])
        keys = {rule["topologyKey"] for rule in spread if selects(rule["labelSelector"], _labels(one))}
        if keys != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            yield f"{title(one)} is spread over {sorted(keys) or 'nothing'}"


def _only(objects: Objects, one: Object, selector: Any) -> Iterator[str]:
    found = [pod.where.partition("/")[2] for pod in pods(objects) if selects(selector, pod.labels)]
    if found != [name_of(one)]:
        yield f"{title(one)} selects the pods of {found or 'nobody'}"


def _labels(deployment: Object) -> dict[str, str]:
    labels: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return labels


def ports(objects: Objects) -> Iterator[str]:
    """From the Ingress through the Service to the container, and what Prometheus asks."""
    services = {name_of(one): one for one in of_kind(objects, "Service")}
    for service in services.values():
        for port in service["spec"]["ports"]:
            for pod in _behind(objects, service):
                if port["targetPort"] not in pod.ports():
                    yield f"{title(service)}: {pod.where} has no port {port['targetPort']}"
                elif pod.ports()[port["targetPort"]] != port["port"]:
                    yield f"{title(service)} has another port than {pod.where}"
    for one in of_kind(objects, "Ingress"):
        for rule in one["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                if not _has_port(services.get(backend["name"]), backend["port"].get("name")):
                    yield f"{title(one)}: {path['path']} leads to {backend['name']}, which has no such port"
    for one in of_kind(objects, "ServiceMonitor"):
        for endpoint in one["spec"]["endpoints"]:
            if not _has_port(services.get(name_of(one)), endpoint["port"]):
                yield f"{title(one)} asks at {endpoint['port']}"


def _behind(objects: Objects, service: Object) -> list[Pod]:
    selector = {"matchLabels": service["spec"]["selector"]}
    return [pod for pod in pods(objects) if selects(selector, pod.labels)]


def _has_port(service: Object | None, name: str | None) -> bool:
    return service is not None and name in {port["name"] for port in service["spec"]["ports"]}


def disruption(objects: Objects) -> Iterator[str]:
    """A node may always be emptied, and never takes more than one pod at a time."""
    for one in of_kind(objects, "PodDisruptionBudget"):
        if one["spec"].get("maxUnavailable") != 1 or "minAvailable" in one["spec"]:
            yield f"{title(one)} does not let exactly one pod go"
    for one in of_kind(objects, "Deployment"):
        rolling = one["spec"].get("strategy", {}).get("rollingUpdate", {})
        if rolling.get("maxUnavailable") != 0 or not rolling.get("maxSurge"):
            yield f"{title(one)} lets a pod go before the new one serves"


def scaled(objects: Objects, partitions: int) -> Iterator[str]:
    """Nobody sets the number of pods beside what scales; who shares partitions has no more pods than there are."""
    deployments = {name_of(one): one for one in of_kind(objects, "Deployment")}
    for one in deployments.values():
        if "replicas" in one["spec"]:
            yield f"{title(one)} sets replicas, which every apply would set back"
    for one in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        spec = one["spec"]
        low, high = (spec.get(f"{end}Replicas", spec.get(f"{end}ReplicaCount", 0)) for end in ("min", "max"))
        if spec["scaleTargetRef"]["name"] != name_of(one) or name_of(one) not in deployments:
            yield f"{title(one)} scales {spec['scaleTargetRef']['name']}"
        if not 1 <= low <= high:
            yield f"{title(one)} goes from {low} to {high}"
        if name_of(one) != "ingest" and high > partitions:
            yield f"{title(one)} would start more pods than there are partitions"


def namespaced(objects: Objects) -> Iterator[str]:
    """Everything in our namespace, which admits only restricted pods; every object says when it is applied."""
    for one in objects:
        if one["kind"] == "Namespace":
            level = one["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce")
            if level != "restricted" or name_of(one) != NAMESPACE:
                yield f"the namespace {name_of(one)} admits {level or 'every'} pod"
        elif one["metadata"].get("namespace") != NAMESPACE:
            yield f"{title(one)} is in {one['metadata'].get('namespace')}"
        if one["metadata"].get("labels", {}).get("headrace.io/step") not in {"engines", "migrate", "services"}:
            yield f"{title(one)} has no step"
    if not of_kind(objects, "Namespace"):
        yield "there is no namespace"
