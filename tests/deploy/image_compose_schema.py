"""The shape of what deploy/compose.yaml uses of the Compose specification. Written from its text; what is not here
is refused, so that a misspelt key cannot pass."""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_DURATION = {"type": "string", "pattern": r"^(\d+(h|m|s|ms))+$"}
_NAMES = {"type": "array", "items": {"type": "string", "pattern": "^[a-z][a-z0-9-]*$"}, "uniqueItems": True}
_FLAG = {"type": "boolean"}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_HEALTH = {
    "oneOf": [
        _object(["disable"], disable={"const": True}),
        _object(
            ["test", "interval", "timeout", "retries"],
            test={"type": "array", "prefixItems": [{"enum": ["CMD", "CMD-SHELL"]}], "minItems": 2},
            interval=_DURATION,
            timeout=_DURATION,
            start_period=_DURATION,
            retries={"type": "integer", "minimum": 1},
        ),
    ]
}
_CONDITION = _object(["condition"], condition={"enum": ["service_healthy", "service_completed_successfully"]})
_SERVICE = _object(
    ["image", "restart", "networks"],
    image=_TEXT,
    build=_object(["context", "dockerfile"], context=_TEXT, dockerfile=_TEXT),
    user=_TEXT,
    command=_TEXTS,
    environment={"type": "object", "additionalProperties": {"type": "string"}},
    secrets=_NAMES,
    volumes=_TEXTS,
    tmpfs=_TEXTS,
    networks=_NAMES,
    ports={"type": "array", "items": {"type": "string", "pattern": r"^([\d.]+:)?\d+:\d+$"}},
    depends_on={"type": "object", "additionalProperties": _CONDITION},
    healthcheck=_HEALTH,
    restart={"enum": ["unless-stopped", "on-failure"]},
    stop_grace_period=_DURATION,
    stop_signal=_TEXT,
    shm_size=_TEXT,
    read_only=_FLAG,
    privileged=_FLAG,
    network_mode=_TEXT,
    pid=_TEXT,
    cap_drop=_TEXTS,
    security_opt=_TEXTS,
)
_SCHEMA = {
    **_object(
        ["name", "services", "networks", "volumes", "secrets"],
        name=_TEXT,
        services={"type": "object", "additionalProperties": _SERVICE},
        networks={"type": "object", "additionalProperties": _object([], internal=_FLAG)},
        volumes={"type": "object", "additionalProperties": _object([])},
        secrets={"type": "object", "additionalProperties": _object(["file"], file=_TEXT)},
    ),
    "patternProperties": {"^x-": {}},
}


def problems(document: Any) -> Iterator[str]:
    """What is not as the schema says."""
    for error in Draft202012Validator(_SCHEMA).iter_errors(document):
        yield f"{error.json_path}: {error.message}"
