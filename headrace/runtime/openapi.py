"""A service's OpenAPI document made whole: what each route answers, with every status, and the bodies it reads.

FastAPI knows paths and parameters. What routes answer is stated here beside it, in one table for each service, and
held against what they do answer by the tests (tests/http).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

from headrace.contracts.schemas import schemas
from headrace.runtime.access.guard import Access
from headrace.runtime.access.rules import Rule
from headrace.runtime.shapes import Schema, Shape, schema_of

JSON = "application/json"
HTML = "text/html; charset=utf-8"
YAML = "application/yaml"

DESCRIPTIONS: Mapping[int, str] = {
    200: "Done.",
    302: "Leads on to `Location`.",
    400: "The request is wrong; `message` says what to correct.",
    401: "The token or key is missing or wrong.",
    403: "Not allowed: the token lacks the scope, or a signature or origin is wrong.",
    404: "There is no such thing.",
    405: "This path takes other methods.",
    409: "Refused as things stand; `code` says why.",
    413: "The request is too large.",
    415: "The body is encoded in a way that is not read.",
    429: "Too many requests: repeat after `Retry-After` seconds.",
    501: "This deployment has not what is needed for it; `message` says what to set.",
    503: "Something that is needed does not answer: repeat after `Retry-After` seconds.",
}
_RETRIED = (429, 503)
_ERROR = {"$ref": "#/components/schemas/Error"}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string", "pattern": "^[0-9]+$"}}}


@dataclass(frozen=True, slots=True)
class Operation:
    """`answers`: the media types of each status that is no error in the one shape, with their shapes. `errors`:
    the statuses beside the usual ones (`usual_errors`). `body`: what is read, by media type; None where FastAPI
    knows it. `never`: statuses of the usual ones that do not come."""

    answers: Mapping[int, Mapping[str, Shape]]
    errors: Sequence[int] = ()
    body: Mapping[str, Schema] | None = None
    never: Sequence[int] = ()
    parameters: Mapping[str, Schema] = field(default_factory=dict)


def answers(shape: Shape, *errors: int, body: Mapping[str, Schema] | None = None) -> Operation:
    """A route that answers 200 with JSON of this shape."""
    return Operation({200: {JSON: shape}}, errors, body)


def pages(*statuses: int) -> Operation:
    """A public route that answers with a page for people, whatever the status."""
    return Operation({status: {HTML: str} for status in statuses}, never=(400, 404))


def definition(kind: str) -> Mapping[str, Schema]:
    """A body that is a definition of this kind, in JSON or YAML."""
    schema = {"$ref": f"#/components/schemas/{_component(kind)}"}
    return {JSON: schema, YAML: {"type": "string"}}


def describe(app: FastAPI, operations: Mapping[str, Operation], further: Mapping[str, Any] | None = None) -> None:
    """Have the app's document say what `operations` say, by `METHOD path`. `further` are path items of routes that
    FastAPI does not see."""
    generate = app.openapi
    access: Access = app.state.access

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = complete(generate(), operations, further or {}, access.rules)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def complete(
    document: dict[str, Any],
    operations: Mapping[str, Operation],
    further: Mapping[str, Any],
    rules: Mapping[str, Rule],
) -> dict[str, Any]:
    """The document with all that `operations` know. Only the schemas that are referred to stay."""
    app_paths: dict[str, Any] = document["paths"]
    for path, item in app_paths.items():
        for method, found in item.items():
            name = f"{method.upper()} {path}"
            if operation := operations.get(name):
                _complete(found, operation, usual_errors(name, "security" in found, rules.get(name)))
    paths = {**further, **app_paths}
    components = document.setdefault("components", {})
    known = {**components.get("schemas", {}), **_shared()}
    components["schemas"] = _used(known, paths)
    return {**document, "paths": paths}


def error_answer(status: int) -> dict[str, Any]:
    """The OpenAPI response of an error in the one shape."""
    answer: dict[str, Any] = {"description": DESCRIPTIONS[status], "content": {JSON: {"schema": _ERROR}}}
    return {**answer, "headers": _RETRY_AFTER} if status in _RETRIED else answer


def usual_errors(name: str, is_guarded: bool, rule: Rule | None) -> set[int]:
    """What the machinery around every route answers: a wrong request, a token or scope that is missing, an id that
    is not there, a body that is too large, too many requests, and an act that cannot be written down."""
    comes = {
        400: True,
        401: is_guarded,
        403: is_guarded,
        404: "{" in name,
        413: name.startswith(("POST ", "PUT ")),
        429: True,
        503: rule is not None and rule.act,
    }
    return {status for status, does in comes.items() if does}


def _complete(found: dict[str, Any], operation: Operation, usual: set[int]) -> None:
    errors = {*usual, *operation.errors} - {*operation.never}
    responses = {status: error_answer(status) for status in errors}
    for status, kinds in operation.answers.items():
        content = {kind: {"schema": schema_of(shape)} for kind, shape in kinds.items()}
        responses[status] = {"description": DESCRIPTIONS[status]} | ({"content": content} if content else {})
    found["responses"] = {str(status): responses[status] for status in sorted(responses)}
    if operation.body is not None:
        content = {kind: {"schema": schema} for kind, schema in operation.body.items()}
        found["requestBody"] = {"required": True, "content": content}
    for parameter in found.get("parameters", []):
        parameter["schema"] |= operation.parameters.get(parameter["name"], {})


def _component(kind: str) -> str:
    return "".join(word.capitalize() for word in kind.split("-"))


def _shared() -> dict[str, Schema]:
    """The schemas of the contracts as components, their inner ones beside them."""
    components: dict[str, Schema] = {}
    for name, schema in schemas().items():
        prefix = _component(name)
        inner = schema.get("$defs", {})
        body = {key: value for key, value in schema.items() if key not in ("$defs", "$schema", "$id")}
        components[prefix] = _moved(body, prefix)
        components |= {f"{prefix}.{key}": _moved(value, prefix) for key, value in inner.items()}
    return components


def _moved(value: Any, prefix: str) -> Any:
    if isinstance(value, dict):
        moved = {key: _moved(inner, prefix) for key, inner in value.items()}
        for key in ("$ref",):
            if isinstance(moved.get(key), str):
                moved[key] = _target(moved[key], prefix)
        if "discriminator" in moved and isinstance(moved["discriminator"], dict):
            mapping = moved["discriminator"].get("mapping", {})
            targets = {name: _target(at, prefix) for name, at in mapping.items()}
            moved["discriminator"] = {**moved["discriminator"], "mapping": targets}
        return moved
    return [_moved(inner, prefix) for inner in value] if isinstance(value, list) else value


def _target(reference: str, prefix: str) -> str:
    return reference.replace("#/$defs/", f"#/components/schemas/{prefix}.")


def _used(known: Mapping[str, Schema], paths: Mapping[str, Any]) -> dict[str, Schema]:
    found: set[str] = set()
    waiting: list[Any] = [paths]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            name = str(value.get("$ref", "")).rpartition("/")[2]
            if name in known and name not in found:
                found.add(name)
                waiting.append(known[name])
    return {name: known[name] for name in sorted(found)}
