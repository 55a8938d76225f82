"""The NetworkPolicies allow exactly what is needed."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.runtime.webhooks.address import is_public
from tests.deploy.breaking import GONE, Break
from tests.deploy.engine_checks import needed
from tests.deploy.manifests import OVERLAYS, everybody, get, rendered
from tests.deploy.network import Direction, conversations, may_enter, may_leave

HTTP = {"ingest": 8080, "profiles": 8081, "segmenter": 8082, "messenger": 8083}
DIRECTIONS: tuple[Direction, ...] = ("Ingress", "Egress")
PORTS = [*HTTP.values(), 5432, 6379, 8000, 8443, 9090, 9091, 9092, 9093, 9187]

CALLS = {
    ("profiles", "segmenter", 8082),
    ("profiles", "messenger", 8083),
    ("segmenter", "profiles", 8081),
    ("messenger", "segmenter", 8082),
}
NEEDED = {
    *needed(),
    *CALLS,
    ("postgres", "postgres", 5432),
    ("postgres", "postgres", 8000),
    *(("kafka", "kafka", port) for port in (8443, 9090, 9091)),
    ("entity-operator", "kafka", 9091),
}
ENTER = {
    "ingress-nginx": {(name, HTTP[name]) for name in ("ingest", "profiles", "messenger")},
    "monitoring": {*HTTP.items(), ("postgres", 9187)},
    "cnpg-system": {("postgres", 5432), ("postgres", 8000)},
    "strimzi": {("kafka", 8443), ("kafka", 9090), ("kafka", 9091)},
    "default": set[tuple[str, int]](),
    "kube-system": set[tuple[str, int]](),
}
PUBLIC = ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")
PRODUCTION = rendered("production")
# Who reads the setting that says where a service is.
READERS = {"PROFILES": ["segmenter"], "SEGMENTER": ["profiles", "messenger"], "MESSENGER": ["profiles"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_pods_talk_to_whom_they_need_and_to_nobody_else(overlay: str, direction: Direction) -> None:
    assert conversations(rendered(overlay), direction, PORTS) == NEEDED


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("namespace", [*ENTER, "keda"])
def test_who_enters_from_other_namespaces(overlay: str, namespace: str) -> None:
    objects = rendered(overlay)
    expected = ENTER.get(namespace, {("kafka", 9093)} if overlay == "production" else set())
    open_to = {
        (name, port)
        for name, labels in everybody(objects).items()
        for port in PORTS
        if may_enter(objects, namespace, labels, port) and name != "entity-operator"
    }
    assert open_to == expected


def test_settings_say_where_the_services_are() -> None:
    objects = rendered("production")
    data = get(objects, "ConfigMap", "headrace-settings")["data"]
    for name, readers in READERS.items():
        url = urlsplit(data[f"HEADRACE_{name}_URL"])
        assert url.hostname == name.lower()
        assert [port["port"] for port in get(objects, "Service", name.lower())["spec"]["ports"]] == [url.port]
        assert {(reader, name.lower(), url.port) for reader in readers} <= CALLS


@pytest.mark.parametrize("address", PUBLIC)
def test_who_reaches_the_internet(address: str) -> None:
    objects = rendered("production")
    reached = {
        (name, port)
        for name, labels in everybody(objects).items()
        for port in (25, 80, 443, 465, 587, 5432, 6443, 9092)
        if may_leave(objects, labels, address, port)
    }
    api_server = {(name, port) for name in ("postgres", "entity-operator") for port in (443, 6443)}
    assert reached - api_server == {("messenger", 443), ("messenger", 465), ("messenger", 587), ("segmenter", 443)}


@given(
    st.one_of(
        st.ip_addresses(),
        st.sampled_from(["10.1.2.3", "169.254.169.254", "fd00::1", "::1", *PUBLIC]).map(ip_address),
    )
)
@settings(max_examples=300, deadline=None)
def test_the_policy_and_the_guard_in_the_process_call_the_same_addresses_public(address: object) -> None:
    objects = PRODUCTION
    for name in ("messenger", "segmenter"):
        labels = everybody(objects)[name]
        assert may_leave(objects, labels, str(address), 443) == is_public(str(address)), address


BROKEN = [
    Break("NetworkPolicy", "ingest", ("spec", "egress", 0, "ports"), GONE),
    Break("NetworkPolicy", "ingest", ("spec", "egress", -1), {}),
    Break("NetworkPolicy", "valkey", ("spec", "ingress", 0, "from"), GONE),
    Break("NetworkPolicy", "profiles", ("spec", "ingress"), [{}]),
    Break("NetworkPolicy", "segmenter", ("spec", "egress"), []),
    Break("NetworkPolicy", "kafka", ("spec", "ingress", 0, "ports", 0, "port"), 9092),
    Break("NetworkPolicy", "postgres", ("spec", "policyTypes"), ["Ingress"]),
    Break("NetworkPolicy", "migrate", (), GONE),
]


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_a_policy_that_allows_more_or_less_is_found(broken: Break) -> None:
    objects = rendered("production")
    broken.apply(objects)
    found = [conversations(objects, direction, PORTS) for direction in DIRECTIONS]
    assert found != [NEEDED, NEEDED]
