"""The manifests say what the code says: topics, rights, settings, paths."""

import base64
from pathlib import Path

import certifi
import pytest
import yaml

from headrace.contracts import topics
from headrace.contracts.topics import TOPICS, Topic
from headrace.log.kafka.address import parse_address
from headrace.log.kafka.topics import check, settings_of
from headrace.runtime.settings import CommonSettings, Environment, common_settings
from services.ingest.routes import ROUTES, is_public
from tests.deploy.known import READERS
from tests.deploy.kustomize import ROOT
from tests.deploy.manifests import OVERLAYS, SERVICES, Object, get, name_of, of_kind, rendered
from tests.deploy.pod_checks import secret_keys

GROUPS = {
    "profiles": topics.PROFILES_GROUP,
    "segmenter": topics.SEGMENTER_GROUP,
    "messenger": topics.MESSENGER_GROUP,
}
OF_OPERATORS = {
    "headrace-cluster-ca-cert": {"ca.crt"},
    "headrace-postgres-app": {"uri"},
    "headrace-postgres-ca": {"ca.crt"},
    **{f"headrace-{service}": {"password"} for service in SERVICES},
}


def common(overlay: str) -> CommonSettings:
    data = get(rendered(overlay), "ConfigMap", "headrace-settings")["data"]
    return common_settings(
        Environment({**data, "HEADRACE_LOG_URL": "kafka://k:9093", "HEADRACE_ADMIN_TOKEN": "t"})
    )


def found_topics(overlay: str) -> dict[str, Object]:
    return {name_of(one): one for one in of_kind(rendered(overlay), "KafkaTopic")}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_declared_topic_is_there_and_no_other(overlay: str) -> None:
    assert set(found_topics(overlay)) == {common(overlay).topic(topic.name) for topic in TOPICS}


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_is_as_services_demand_it(overlay: str, topic: Topic) -> None:
    spec, horizon = found_topics(overlay)[topic.name]["spec"], common(overlay).rollback_horizon_ms
    settings = {name: str(value) for name, value in spec["config"].items()}
    assert settings == settings_of(topic, horizon, spec["replicas"])
    check(topic, spec["partitions"], common(overlay).partitions, settings, horizon)  # raises when it is not


def rights(service: str, operation: str) -> set[str]:
    """Topics on which the service may do it."""
    user = get(rendered("production"), "KafkaUser", f"headrace-{service}")
    return {
        acl["resource"]["name"]
        for acl in user["spec"]["authorization"]["acls"]
        if operation in acl["operations"] and acl["resource"]["type"] == "topic"
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_write_what_it_sends(service: str) -> None:
    sent = {topic.name for topic in TOPICS if service in topic.senders}
    replayed = {topic.name for topic in TOPICS if topic.groups} if service == "ingest" else set()
    assert rights(service, "Write") == sent | replayed


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_read_its_inputs_and_the_end_of_its_outputs(service: str) -> None:
    inputs = {topic.name for topic in TOPICS if GROUPS.get(service) in topic.groups}
    numbered = {topic.name for topic in TOPICS if topic.groups and service in topic.senders} - (
        {topics.EVENTS.name, topics.PROVIDER_CALLBACKS.name}  # ingest numbers nothing
    )
    letters = {topics.DEAD_LETTERS.name} if service in {"ingest", "profiles"} else set()
    assert rights(service, "Read") == inputs | numbered | letters


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_its_group_and_may_see_how_topics_are_set(service: str) -> None:
    acls = get(rendered("production"), "KafkaUser", f"headrace-{service}")["spec"]["authorization"]["acls"]
    groups = [acl for acl in acls if acl["resource"]["type"] == "group"]
    expected = [GROUPS[service]] if service in GROUPS else []
    assert [(acl["resource"]["name"], acl["operations"]) for acl in groups] == [
        (name, ["Read"]) for name in expected
    ]
    assert rights(service, "DescribeConfigs") == rights(service, "Describe") == {topic.name for topic in TOPICS}


def test_lag_is_looked_at_where_groups_read() -> None:
    declared = {(group, topic.name) for topic in TOPICS for group in topic.groups}
    looked = [
        (trigger["metadata"]["consumerGroup"], trigger["metadata"]["topic"])
        for one in of_kind(rendered("production"), "ScaledObject")
        for trigger in one["spec"]["triggers"]
        if trigger["type"] == "kafka"
    ]
    assert set(looked) <= declared
    assert {group for group, _ in looked} == set(GROUPS.values())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_secret_that_pods_take_is_made_by_an_operator_or_explained(overlay: str) -> None:
    objects = rendered(overlay)
    given = {name_of(one): set(one["data"]) for one in of_kind(objects, "Secret")}
    if overlay == "production":
        given = {name_of(one): set(one["stringData"]) for one in examples()}
        assert given.pop("headrace-backup") == {"access-key-id", "secret-access-key"}
    assert {**given, **OF_OPERATORS} == secret_keys(objects)


def examples() -> list[Object]:
    path = ROOT / "deploy/kubernetes/overlays/production/secrets.example.yaml"
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def test_every_secret_in_the_example_has_a_value() -> None:
    assert [key for one in examples() for key, value in one["stringData"].items() if not value.strip()] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_with_the_settings_of_its_pod(service: str, tmp_path: Path) -> None:
    settings = READERS[service](Environment(environment(service, tmp_path)))
    assert settings.common.host == "0.0.0.0"
    assert settings.common.admin_token == "local-admin-token"
    assert settings.port == container(service)["ports"][0]["containerPort"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_logs_in_to_kafka_by_tls_as_itself(service: str, tmp_path: Path) -> None:
    address = parse_address(environment(service, tmp_path)["HEADRACE_LOG_URL"])
    assert address.servers == ("headrace-kafka-bootstrap:9093",)
    assert address.security["security_protocol"] == "SASL_SSL"
    assert address.security["sasl_mechanism"] == "SCRAM-SHA-512"
    assert address.security["sasl_plain_username"] == f"headrace-{service}"
    assert address.security["sasl_plain_password"] == "of-an-operator"


def container(service: str) -> Object:
    found: Object = get(rendered("local"), "Deployment", service)["spec"]["template"]["spec"]["containers"][0]
    return found


def environment(service: str, folder: Path) -> dict[str, str]:
    """The variables of the service's container, its mounted files written below `folder`."""
    objects = rendered("local")
    pod = get(objects, "Deployment", service)["spec"]["template"]["spec"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container(service)["volumeMounts"]}
    for volume in pod["volumes"]:
        plain = [{**volume["secret"], "name": volume["secret"]["secretName"]}] if "secret" in volume else []
        projected = [source["secret"] for source in volume.get("projected", {}).get("sources", ())]
        for source in plain + projected:
            for item in source["items"]:
                path = Path(f"{folder}{mounted[volume['name']]}", item["path"])
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(secret(source["name"], item["key"]), encoding="utf-8")
    values = dict(get(objects, "ConfigMap", "headrace-settings")["data"])
    values |= {variable["name"]: variable["value"] for variable in container(service)["env"]}
    return {name: value.replace("/run/secrets", f"{folder}/run/secrets") for name, value in values.items()}


def secret(name: str, key: str) -> str:
    if name in OF_OPERATORS:
        return Path(certifi.where()).read_text("utf-8") if key == "ca.crt" else "of-an-operator"
    return base64.b64decode(get(rendered("local"), "Secret", name)["data"][key]).decode()


def paths(ingress: str) -> dict[str, tuple[str, str]]:
    """Type and Service by path."""
    rules = get(rendered("production"), "Ingress", ingress)["spec"]["rules"]
    return {
        path["path"]: (path["pathType"], path["backend"]["service"]["name"])
        for rule in rules
        for path in rule["http"]["paths"]
    }


def leads(ingress: str, path: str) -> str | None:
    """The Service that a request for the path comes to."""
    for prefix, (kind, service) in paths(ingress).items():
        if path == prefix or (kind == "Prefix" and path.startswith(f"{prefix}/")):
            return service
    return None


@pytest.mark.parametrize(
    "path", [*ROUTES, "/v1/projects/key/settings", "/sourceConfig/", "/v1/hooks/twilio", "/healthz"]
)
def test_what_the_world_calls_comes_to_ingest(path: str) -> None:
    assert leads("events", path) == "ingest"


@pytest.mark.parametrize("path", ["/o/t.gif", "/c/t", "/u/t", "/p/t", "/s/t"])
def test_links_in_messages_come_to_their_service(path: str) -> None:
    assert leads("links", path) == ("profiles" if path.startswith("/s/") else "messenger")


@pytest.mark.parametrize("ingress", ["events", "links"])
@pytest.mark.parametrize(
    "path",
    [
        "/", "/metrics", "/docs", "/openapi.json", "/readyz", "/v1", "/v1/", "/v1/dead-letters",
        "/v1/dead-letters/replay", "/v1/plans", "/v1/plans/violations", "/v1/sources", "/v1/tokens", "/v1/audit",
        "/v1/profiles/x", "/v1/messages", "/v1/campaigns", "/v1/templates", "/v1/segments", "/v1/control",
        "/v1/batches",
    ],
)  # fmt: skip
def test_what_is_ours_is_not_reached_from_outside(ingress: str, path: str) -> None:
    assert leads(ingress, path) is None


def test_no_path_is_open_that_nothing_public_answers() -> None:
    ours = {path for path in ROUTES if is_public(path)}
    for prefix, (kind, _) in paths("events").items():
        known = {path for path in ours if path == prefix or (kind == "Prefix" and path.startswith(f"{prefix}/"))}
        assert known or prefix in {"/v1/projects", "/v1/hooks", "/sourceConfig", "/healthz"}, prefix
