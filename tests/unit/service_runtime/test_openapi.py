"""The OpenAPI documents say all: each route with its answers, and no answer for a route that is not there."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from services.ingest import openapi as ingest
from services.messenger import openapi as messenger
from services.profiles import openapi as profiles
from services.segmenter import openapi as segmenter
from tests.http.apps import served_documents

TABLES = {
    "ingest": ingest.OPERATIONS,
    "profiles": profiles.OPERATIONS,
    "segmenter": segmenter.OPERATIONS,
    "messenger": messenger.OPERATIONS,
}
ERROR = {"$ref": "#/components/schemas/Error"}


@pytest.fixture(scope="module")
def documents() -> Mapping[str, dict[str, Any]]:
    return served_documents()


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


@pytest.mark.parametrize("service", TABLES)
def test_every_route_is_described_and_nothing_else_is(service: str, documents: Mapping[str, Any]) -> None:
    found = dict(operations(documents[service]))
    tracking = {name for name, one in found.items() if one.get("tags") == ["tracking"]}
    assert found.keys() - tracking == TABLES[service].keys()


@pytest.mark.parametrize("service", TABLES)
def test_errors_have_the_one_shape(service: str, documents: Mapping[str, Any]) -> None:
    for name, operation in operations(documents[service]):
        assert "422" not in operation["responses"], name
        for status, answer in operation["responses"].items():
            kinds = answer.get("content", {})
            if int(status) >= 400 and "application/json" in kinds:
                assert kinds["application/json"]["schema"] == ERROR, (name, status)


@pytest.mark.parametrize("service", TABLES)
def test_guarded_routes_say_401_and_public_ones_do_not(service: str, documents: Mapping[str, Any]) -> None:
    for name, operation in operations(documents[service]):
        tracked = operation.get("tags") == ["tracking"]
        said = "401" in operation["responses"]
        assert said == ("security" in operation or (tracked and not name.endswith("/v1/m"))), name


@pytest.mark.parametrize("service", TABLES)
def test_every_reference_leads_somewhere(service: str, documents: Mapping[str, Any]) -> None:
    document = documents[service]
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        waiting += value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
        reference = value.get("$ref") if isinstance(value, dict) else None
        if isinstance(reference, str):
            place: Any = document
            for part in reference.removeprefix("#/").split("/"):
                place = place[part]
