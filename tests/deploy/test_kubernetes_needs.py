"""What a service reads in its settings, the manifests give it: policies, variables, Secrets, rights in Valkey."""

import pytest

from headrace.local.postgres import DISCREET
from tests import engines as servers
from tests.deploy.breaking import CONTAINER, GONE, POD, Break
from tests.deploy.engine_checks import MIGRATIONS, discreet, engines
from tests.deploy.known import READERS, documented_redis_users, needed_engines, redis_users
from tests.deploy.kustomize import ROOT
from tests.deploy.manifests import OVERLAYS, SERVICES, Objects, get, rendered
from tests.deploy.valkey import ValkeyServer, leased

OVERLAYS_FOLDER = ROOT / "deploy/kubernetes/overlays"


def test_every_service_is_looked_at() -> None:
    assert set(READERS) == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_rates_keys_and_tokens_need_all_three_engines(service: str) -> None:
    assert set(needed_engines(service).values()) == {"kafka", "postgres", "valkey"}


def test_who_reads_a_database_has_its_schema_made() -> None:
    assert set(MIGRATIONS) == {name for name in SERVICES if "HEADRACE_DATABASE_URL" in needed_engines(name)}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_has_its_engines(overlay: str) -> None:
    assert list(engines(rendered(overlay))) == []


def without_variable(service: str, name: str) -> Objects:
    """The objects of production, the service's container without this variable."""
    objects = rendered("production")
    container = get(objects, "Deployment", service)["spec"]["template"]["spec"]["containers"][0]
    before = len(container["env"])
    container["env"] = [one for one in container["env"] if one["name"] != name]
    assert len(container["env"]) == before - 1
    return objects


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", ["HEADRACE_LOG_URL", "HEADRACE_DATABASE_URL_FILE", "HEADRACE_REDIS_URL_FILE"])
def test_a_missing_variable_is_found(service: str, name: str) -> None:
    assert list(engines(without_variable(service, name))) != []


CALLERS = ("spec", "ingress", 0, "from", 0, "podSelector", "matchExpressions", 0, "values")
BROKEN = [
    *(Break("NetworkPolicy", name, ("spec", "egress", rule), GONE) for name in SERVICES for rule in range(3)),
    *(
        Break("NetworkPolicy", engine, CALLERS, [other for other in SERVICES if other != name])
        for engine in ("kafka", "postgres", "valkey")
        for name in SERVICES
    ),
    Break("NetworkPolicy", "migrate", ("spec", "egress", 0), GONE),
    Break("Job", "migrate", (*CONTAINER, "env", 0), GONE),
    Break("Job", "migrate", (*POD, "volumes", 1, "projected", "sources", 0), GONE),
]


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_a_missing_policy_or_secret_is_found(broken: Break) -> None:
    objects = rendered("production")
    broken.apply(objects)
    assert list(engines(objects)) != []


PARAMETERS = ("spec", "postgresql", "parameters")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_postgres_quotes_nobody_in_its_log(overlay: str) -> None:
    assert list(discreet(rendered(overlay))) == []


@pytest.mark.parametrize("name", [*DISCREET, "log_parameter_max_length", "log_parameter_max_length_on_error"])
def test_a_postgres_that_quotes_is_found(name: str) -> None:
    objects = rendered("production")
    Break("Cluster", "headrace-postgres", (*PARAMETERS, name), GONE).apply(objects)
    assert list(discreet(objects)) != []


@pytest.mark.parametrize("service", SERVICES)
def test_a_missing_key_of_a_secret_is_found(service: str) -> None:
    objects = rendered("production")
    for volume in get(objects, "Deployment", service)["spec"]["template"]["spec"]["volumes"]:
        for source in volume.get("projected", {}).get("sources", ()):
            items = source["secret"]["items"]
            source["secret"]["items"] = [item for item in items if item["path"] != "redis-url"]
    assert [found for found in engines(objects) if "redis-url" in found] != []


@pytest.mark.parametrize("file", ["local/users.acl", "production/secrets.example.yaml"])
def test_valkeys_users_are_the_documented_ones(file: str) -> None:
    assert redis_users((OVERLAYS_FOLDER / file).read_text("utf-8")) == documented_redis_users()


async def test_every_service_may_count_requests_in_valkey_by_its_own_url() -> None:
    with servers.data_folder() as folder:
        server = ValkeyServer(folder)
        with server.running():
            for service in SERVICES:
                assert await leased(server.url_of(service), service) == 4
