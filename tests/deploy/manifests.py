"""The rendered objects, and how to find things in them."""

import pickle
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import yaml

from tests.deploy.kustomize import ROOT, renderer

Object: TypeAlias = dict[str, Any]
Objects: TypeAlias = list[Object]
Labels: TypeAlias = Mapping[str, str]

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
OVERLAYS = ("local", "production")
KUBERNETES = ROOT / "deploy/kubernetes"
SERVICES = ("ingest", "profiles", "segmenter", "messenger")


def rendered(overlay: str) -> Objects:
    """A copy of the overlay's objects, as they would be applied."""
    objects: Objects = pickle.loads(_rendered(f"overlays/{overlay}"))
    return objects


@cache
def _rendered(folder: str) -> bytes:
    """Pickled: that is the quickest way to many copies."""
    command = [*renderer(), str(KUBERNETES / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stderr}"
    return pickle.dumps([one for one in yaml.load_all(done.stdout, _Loader) if one])


@dataclass(frozen=True)
class Pod:
    """A pod template. `where` names its owner in findings."""

    where: str
    kind: str
    labels: Labels
    spec: Mapping[str, Any]

    @property
    def containers(self) -> Sequence[Mapping[str, Any]]:
        return [*self.spec.get("initContainers", ()), *self.spec.get("containers", ())]

    def ports(self) -> dict[str, int]:
        """Container ports by name."""
        return {
            port["name"]: port["containerPort"]
            for container in self.containers
            for port in container.get("ports", ())
        }


def name_of(one: Object) -> str:
    return str(one["metadata"]["name"])


def title(one: Object) -> str:
    return f"{one['kind']}/{name_of(one)}"


def of_kind(objects: Objects, *kinds: str) -> Objects:
    return [one for one in objects if one["kind"] in kinds]


def get(objects: Objects, kind: str, name: str) -> Object:
    """The one object; `name` may leave out the hash that kustomize adds."""
    found = [one for one in of_kind(objects, kind) if name_of(one) == name or name_of(one).startswith(f"{name}-")]
    exact = [one for one in found if name_of(one) == name] or found
    assert len(exact) == 1, f"{kind}/{name}: {len(exact)} of them"
    return exact[0]


def pods(objects: Objects) -> Iterator[Pod]:
    """Of everything that makes pods."""
    for one in of_kind(objects, "Deployment", "StatefulSet", "DaemonSet", "Job"):
        template = one["spec"]["template"]
        yield Pod(title(one), one["kind"], template["metadata"].get("labels", {}), template["spec"])


def selects(selector: Mapping[str, Any] | None, labels: Labels) -> bool:
    """Whether a label selector (matchLabels, matchExpressions) matches; an empty one matches all, None nothing."""
    if selector is None:
        return False
    wanted = all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())
    return wanted and all(_matches(one, labels) for one in selector.get("matchExpressions", ()))


def _matches(expression: Mapping[str, Any], labels: Labels) -> bool:
    value, operator = labels.get(expression["key"]), str(expression["operator"])
    if operator == "In":
        return value in expression["values"]
    if operator == "NotIn":
        return value not in expression["values"]
    return (value is not None) == (operator == "Exists")


# Pods that operators make of our resources, with the labels that they give them.
OPERATED: Mapping[str, Labels] = {
    "kafka": {
        "strimzi.io/cluster": "headrace",
        "strimzi.io/kind": "Kafka",
        "strimzi.io/name": "headrace-kafka",
    },
    "entity-operator": {
        "strimzi.io/cluster": "headrace",
        "strimzi.io/kind": "Kafka",
        "strimzi.io/name": "headrace-entity-operator",
    },
    "postgres": {"cnpg.io/cluster": "headrace-postgres", "cnpg.io/podRole": "instance"},
}


def everybody(objects: Objects) -> dict[str, Labels]:
    """Labels of all pods of the namespace, by a short name: ingest, …, migrate, valkey, kafka, postgres, …"""
    ours = {pod.where.partition("/")[2]: pod.labels for pod in pods(objects)}
    return {**ours, **OPERATED}
