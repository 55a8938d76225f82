"""What every pod must be. A check gives findings, one sentence each; none means that all is well."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.deploy.manifests import Objects, Pod, get, name_of, of_kind, pods

IMAGE = re.compile(r"^[^@]+(?::(?P<tag>[\w.-]+))?(?:@sha256:[0-9a-f]{64})?$")
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
SECONDS_BEHIND_GRACE = 15
"""After the last request a service leaves Kafka (2 s, 2 s) and closes its pools (10 s)."""


def restricted(objects: Objects) -> Iterator[str]:
    """Pod Security Standard "restricted"."""
    for pod in pods(objects):
        whole = pod.spec.get("securityContext", {})
        if whole.get("runAsNonRoot") is not True or not whole.get("runAsUser"):
            yield f"{pod.where} may run as root"
        if whole.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{pod.where} has no seccomp profile"
        for name in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.spec.get(name):
                yield f"{pod.where} has {name}"
        if any("hostPath" in volume for volume in pod.spec.get("volumes", ())):
            yield f"{pod.where} mounts the node's files"
        for container in pod.containers:
            yield from _restricted(pod, container)


def _restricted(pod: Pod, container: Mapping[str, Any]) -> Iterator[str]:
    context, where = container.get("securityContext", {}), f"{pod.where} {container['name']}"
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield f"{where} may gain privileges"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield f"{where} keeps capabilities"
    if context.keys() & {"runAsUser", "runAsNonRoot", "seccompProfile"}:
        yield f"{where} overrides what holds for the pod"
    if any("hostPort" in port for port in container.get("ports", ())):
        yield f"{where} takes a port of the node"


def read_only(objects: Objects) -> Iterator[str]:
    """The root file system is read-only; what may be written has a limit."""
    for pod in pods(objects):
        for volume in pod.spec.get("volumes", ()):
            if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit"):
                yield f"{pod.where}: the emptyDir {volume['name']} has no limit"
        for container in pod.containers:
            if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
                yield f"{pod.where} {container['name']} may write its root file system"
            mounts = {mount["mountPath"]: mount for mount in container.get("volumeMounts", ())}
            if "/tmp" not in mounts:
                yield f"{pod.where} {container['name']} has no /tmp"
            for path, mount in mounts.items():
                if path.startswith(("/run/secrets", "/etc")) and not mount.get("readOnly"):
                    yield f"{pod.where} {container['name']} may write {path}"


def no_token(objects: Objects) -> Iterator[str]:
    """An account of its own for each, and no way to the Kubernetes API."""
    accounts = {name_of(one): one for one in of_kind(objects, "ServiceAccount")}
    for pod in pods(objects):
        account = accounts.get(pod.spec.get("serviceAccountName", ""))
        if account is None:
            yield f"{pod.where} has no ServiceAccount of its own"
        elif account.get("automountServiceAccountToken") is not False:
            yield f"{pod.where}: its ServiceAccount mounts a token"
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.where} mounts a token"
    used = [pod.spec.get("serviceAccountName") for pod in pods(objects)]
    for name in {name for name in used if used.count(name) > 1}:
        yield f"the ServiceAccount {name} is shared"


def no_service_links(objects: Objects) -> Iterator[str]:
    """Kubernetes' variables for Services could be taken for settings: headrace-ingest would be
    HEADRACE_INGEST_PORT=tcp://…"""
    for pod in pods(objects):
        if pod.spec.get("enableServiceLinks") is not False:
            yield f"{pod.where} has enableServiceLinks"


def resources(objects: Objects) -> Iterator[str]:
    """Requests and limits of both."""
    for pod in pods(objects):
        for container in pod.containers:
            for what in ("requests", "limits"):
                if container.get("resources", {}).get(what, {}).keys() < {"cpu", "memory"}:
                    yield f"{pod.where} {container['name']} has no {what} of cpu and memory"


def probes(objects: Objects) -> Iterator[str]:
    """What serves is looked at: start, readiness, life. Life asks no engine, readiness does."""
    for pod in pods(objects):
        if pod.kind == "Job":
            continue
        for container in pod.containers:
            for probe in PROBES:
                look = container.get(probe)
                if look is None:
                    yield f"{pod.where} {container['name']} has no {probe}"
                elif (port := _asked(look)) is not None and port not in pod.ports():
                    yield f"{pod.where} {container['name']}: the {probe} asks at {port}, which it does not have"
            if container["name"] == "headrace":
                yield from _paths(pod, container)


def _asked(probe: Mapping[str, Any]) -> str | None:
    action = probe.get("httpGet") or probe.get("tcpSocket")
    return str(action["port"]) if action else None


def _paths(pod: Pod, container: Mapping[str, Any]) -> Iterator[str]:
    for probe, path in zip(PROBES, ("/healthz", "/readyz", "/healthz"), strict=True):
        if container.get(probe, {}).get("httpGet", {}).get("path") != path:
            yield f"{pod.where}: the {probe} does not ask {path}"


def images(objects: Objects) -> Iterator[str]:
    """Every image has a tag or a digest, and none is `latest`."""
    for pod in pods(objects):
        for container in pod.containers:
            image = container["image"]
            last = image.rpartition("/")[2]
            if "@sha256:" not in last and (":" not in last or last.endswith(":latest")):
                yield f"{pod.where} {container['name']}: the image {image} is whatever is newest"


def graceful(objects: Objects, grace_seconds: int) -> Iterator[str]:
    """A pod that stops first leaves its Service, then has the time that the process takes."""
    for pod in pods(objects):
        if pod.kind != "Deployment":
            continue
        sleeps = [
            c.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0) for c in pod.containers
        ]
        if min(sleeps) < 5:
            yield f"{pod.where} stops before everybody knows"
        allowed = pod.spec.get("terminationGracePeriodSeconds", 30)
        if allowed < max(sleeps) + grace_seconds + SECONDS_BEHIND_GRACE:
            yield f"{pod.where} is killed after {allowed} s, while it may still work"


def mounts(objects: Objects) -> Iterator[str]:
    """Every mount names a volume, every volume is mounted, every file that a variable names is there."""
    for pod in pods(objects):
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", ())}
        claims = {"data"} if pod.kind == "StatefulSet" else set()
        mounted = {mount["name"] for container in pod.containers for mount in container.get("volumeMounts", ())}
        for name in mounted - volumes.keys() - claims:
            yield f"{pod.where} mounts {name}, which is no volume"
        for name in volumes.keys() - mounted:
            yield f"{pod.where} does not mount {name}"
        for container in pod.containers:
            there = files_of_secrets(container, volumes)
            for path in sorted(_named(container) - there):
                yield f"{pod.where} {container['name']}: nothing puts {path} there"


FILE = re.compile(r"(?:^|=)(/run/secrets/[\w./-]+)")


def _named(container: Mapping[str, Any]) -> set[str]:
    texts = [
        *(variable.get("value", "") for variable in container.get("env", ())),
        *container.get("args", ()),
    ]
    return {path for text in texts for path in FILE.findall(text.replace("&", "\n=").replace("\n", " ="))}


def files_of_secrets(container: Mapping[str, Any], volumes: Mapping[str, Any]) -> set[str]:
    """The paths at which the container finds keys of Secrets."""
    found: set[str] = set()
    for mount in container.get("volumeMounts", ()):
        volume = volumes.get(mount["name"], {})
        sources = [volume["secret"]] if "secret" in volume else []
        sources += [source["secret"] for source in volume.get("projected", {}).get("sources", ())]
        found |= {f"{mount['mountPath']}/{item['path']}" for source in sources for item in source["items"]}
    return found


def secret_keys(objects: Objects) -> dict[str, set[str]]:
    """The keys that pods take from each Secret. A name without kustomize's hash."""
    found: dict[str, set[str]] = {}
    for pod in pods(objects):
        for volume in pod.spec.get("volumes", ()):
            sources = [{**volume["secret"], "name": volume["secret"]["secretName"]}] if "secret" in volume else []
            sources += [source["secret"] for source in volume.get("projected", {}).get("sources", ())]
            for source in sources:
                keys = {item["key"] for item in source["items"]}
                found.setdefault(source["name"], set()).update(keys)
    return found


def no_secret_in_environment(objects: Objects) -> Iterator[str]:
    """Secrets come as files: whoever sees a process' environment sees none."""
    for pod in pods(objects):
        for container in pod.containers:
            if any("secretRef" in source for source in container.get("envFrom", ())):
                yield f"{pod.where} {container['name']} has a whole Secret in its environment"
            for variable in container.get("env", ()):
                if "secretKeyRef" in variable.get("valueFrom", {}):
                    yield f"{pod.where} {container['name']}: {variable['name']} is a secret in the environment"
                if re.search(r"(?:TOKEN|KEY|KEYS|SECRET|SOURCES)$", variable["name"]):
                    yield f"{pod.where} {container['name']}: {variable['name']} must come from a file"
                if re.search(r"://[^/@]*:[^/@]+@", variable.get("value", "")):
                    yield f"{pod.where} {container['name']}: {variable['name']} holds a password"


def known_settings(objects: Objects, known: set[str]) -> Iterator[str]:
    """No variable that nobody reads: a misspelt setting would be the default without a word."""
    for pod in pods(objects):
        for container in pod.containers:
            names = {variable["name"] for variable in container.get("env", ())}
            for source in container.get("envFrom", ()):
                names |= get(objects, "ConfigMap", source["configMapRef"]["name"])["data"].keys()
            for name in sorted(names):
                if name.removesuffix("_FILE") not in known:
                    yield f"{pod.where} {container['name']}: {name} is no setting"
