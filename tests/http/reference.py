"""docs/http.md: the OpenAPI documents as a page for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.contracts.generate import table

Document = Mapping[str, Any]

PORTS = {"ingest": 8080, "profiles": 8081, "segmenter": 8082, "messenger": 8083}
_HEAD = """# HTTP reference

Generated from the OpenAPI documents of the services ([ingest](openapi/ingest.json),
[profiles](openapi/profiles.json), [segmenter](openapi/segmenter.json), [messenger](openapi/messenger.json)),
which each also serves on `/openapi.json`, and on `/docs` as a page to try them. Every service answers `/healthz`,
`/readyz` and `/metrics` besides: see [operations](operations.md#health).

- **Token**: routes marked `token` take `Authorization: Bearer <HEADRACE_ADMIN_TOKEN>`; tracking takes a write
  key, see [tracking](tracking.md); pages for customers are opened by the signed token in their path.
- **Errors** have one shape, `{"success": false, "code": "<slug>", "message": "<what to do>"}`; with
  `invalid_definition` come `problems`, each with `path`, `reason` and `suggestion`. 429 and 503 have
  `Retry-After`.
- **Lists** answer `{"items": [...], "next": ...}`: send `next` as `cursor` until it is null.
- Any request may be answered 400, 408, 414 or 431 by the HTTP server itself, and 405 where the path takes other
  methods.

"""


def reference(documents: Mapping[str, Document]) -> str:
    """The page."""
    return _HEAD + "\n".join(_service(name, document) for name, document in documents.items())


def _service(name: str, document: Document) -> str:
    found = list(_operations(document))
    rows = [[f"`{method} {path}`", _guard(one), _first(one)] for method, path, one in found]
    parts = [
        f"## {name.capitalize()}\n\nPort {PORTS[name]}.\n\n{table(['request', 'needs', 'what it does'], rows)}"
    ]
    return "\n".join([*parts, *(_operation(*each) for each in found)])


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def _operation(method: str, path: str, operation: Document) -> str:
    lines = [f"### {method} {path}\n"]
    if said := operation.get("description"):
        lines.append(f"{said}\n")
    if parameters := operation.get("parameters"):
        rows = [
            [f"`{one['name']}`", one["in"], _limits(one), _line(one.get("description", ""))] for one in parameters
        ]
        lines.append(table(["parameter", "in", "value", ""], rows))
    if body := operation.get("requestBody"):
        lines.append(f"Body: {', '.join(_media(body['content']))}.\n")
    rows = [
        [code, ", ".join(_media(answer.get("content", {}))) or "-", _line(answer["description"])]
        for code, answer in operation["responses"].items()
    ]
    return "\n".join([*lines, table(["status", "body", ""], rows)])


def _guard(operation: Document) -> str:
    if "security" in operation:
        return "token"
    return "write key" if operation.get("tags") == ["tracking"] else "-"


def _first(operation: Document) -> str:
    text = operation.get("description") or operation.get("summary", "")
    return _line(text.split("\n\n")[0])


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _limits(parameter: Document) -> str:
    said = [_kind(parameter["schema"])]
    schema = parameter["schema"]
    schema = next((one for one in schema.get("anyOf", []) if one.get("type") != "null"), schema)
    said += [f"{words} {schema[key]}" for key, words in _LIMITS.items() if key in schema]
    if "default" in parameter["schema"]:
        said.append(f"else `{parameter['schema']['default']}`")
    if parameter.get("required"):
        said.append("required")
    return ", ".join(said).replace("|", "\\|")


_LIMITS = {
    "minimum": "from",
    "maximum": "to",
    "minLength": "at least, in characters,",
    "maxLength": "at most, in characters,",
}


def _media(content: Mapping[str, Any]) -> Iterator[str]:
    for kind, media in content.items():
        kind = kind.partition(";")[0]
        shown = _kind(media["schema"]) if kind == "application/json" else ""
        yield f"`{kind}` {shown}".rstrip()


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " or ".join(f"`{_plain(value)}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{_plain(schema['const'])}`"
    if "anyOf" in schema:
        return _alternatives([_kind(one) for one in schema["anyOf"]])
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return _alternatives(kind)
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object" and schema.get("properties"):
        return "`{" + ", ".join(schema["properties"]) + "}`"
    return str(schema.get("format", kind)) if kind == "string" else str(kind)


def _alternatives(kinds: Sequence[str]) -> str:
    return " or ".join(dict.fromkeys(kinds))


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
