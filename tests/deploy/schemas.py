"""Every object against a schema: Kubernetes' own are bundled with kubernetes-validate, the others are ours."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
from jsonschema import Draft202012Validator

from tests.deploy.manifests import Object, Objects, title

FOLDER = Path(__file__).with_name("schemas")
OLDEST, NEWEST = "1.30", str(kubernetes_validate.latest_version())
"""The versions of Kubernetes that the manifests are for: the preStop sleep came with 1.30."""


def wrong(objects: Objects, version: str) -> Iterator[str]:
    """What does not fit its schema, strictly: a field that nobody knows is an error."""
    for one in objects:
        if (schema := ours(one["kind"], one["apiVersion"])) is not None:
            for error in Draft202012Validator(schema).iter_errors(one):
                yield f"{title(one)}: {'.'.join(map(str, error.absolute_path))}: {error.message}"
        else:
            yield from _kubernetes(one, version)


def _kubernetes(one: Object, version: str) -> Iterator[str]:
    try:
        kubernetes_validate.validate(one, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{title(one)}: {error}"
    except kubernetes_validate.SchemaNotFoundError:
        yield f"{title(one)}: there is no schema for {one['apiVersion']} {one['kind']}"


@cache
def ours(kind: str, api: str) -> dict[str, Any] | None:
    """Our schema of a custom resource."""
    path = FOLDER / f"{kind}.json"
    if not path.exists():
        return None
    schema: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return schema if schema["properties"]["apiVersion"]["const"] == api else None
