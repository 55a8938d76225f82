"""Whatever tests ask of a service over HTTP is held against its OpenAPI document."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator

Document = Mapping[str, Any]

SERVICES = ("ingest", "profiles", "segmenter", "messenger")
_FOLDER = Path(__file__).parents[2] / "docs" / "openapi"
_HELD = ("/v1/", "/s/", "/u/", "/p/", "/c/", "/o/")
_ANYWHERE = {405, 408, 414, 431}


class Undocumented(AssertionError):
    """A service answered what its document does not say."""


class DocumentedTransport(httpx.ASGITransport):
    """Calls the app of this service in place, and holds each answer against its document."""

    def __init__(self, service: str, app: Any, **settings: Any) -> None:
        super().__init__(app, **settings)
        self._service = service

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        read = httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())
        read.request = request
        hold(self._service, read)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=answer.stream)


def hold(service: str, response: httpx.Response) -> None:
    """Raises Undocumented. The response has been read."""
    request, status = response.request, response.status_code
    found = _operation(service, request.method.lower(), request.url.path)
    if found is None or status in _ANYWHERE or status >= 500:
        return  # an engine that is away is another test's matter
    path, operation = found
    said = f"{request.method} {path} of {service} answered {status}"
    answer = operation["responses"].get(str(status))
    if answer is None:
        raise Undocumented(f"{said}, which docs/openapi/{service}.json does not name: {response.text[:300]}")
    kind = response.headers.get("content-type", "")
    if answer.get("content") and kind.partition(";")[0] not in {
        one.partition(";")[0] for one in answer["content"]
    }:
        raise Undocumented(f"{said} with {kind}")
    if kind == "application/json" and response.content:
        place = ("paths", path, request.method.lower(), "responses", str(status), "content", kind, "schema")
        for error in _validator(service, place).iter_errors(json.loads(response.content)):
            where = "/".join(map(str, error.absolute_path))
            raise Undocumented(f"{said} with a wrong body at /{where}: {error.message[:300]}")


def _operation(service: str, method: str, path: str) -> tuple[str, Document] | None:
    if not path.startswith(_HELD):
        return None
    for template, pattern in _patterns(service):
        if pattern.fullmatch(path) and method in _document(service)["paths"][template]:
            return template, _document(service)["paths"][template][method]
    return None


@cache
def _document(service: str) -> Document:
    document: Document = json.loads((_FOLDER / f"{service}.json").read_text(encoding="utf-8"))
    return document


@cache
def _patterns(service: str) -> list[tuple[str, re.Pattern[str]]]:
    """Paths without parameters come first."""
    paths = sorted(_document(service)["paths"], key=lambda path: path.count("{"))
    return [(path, re.compile(re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(path)))) for path in paths]


@cache
def _validator(service: str, place: tuple[str, ...]) -> Draft202012Validator:
    pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in place)
    return Draft202012Validator({**_document(service), "$ref": f"#/{pointer}"})
