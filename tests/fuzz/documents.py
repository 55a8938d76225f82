"""The documents as Schemathesis gets them: with ids that are there, and without the grammar of definitions."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.contracts.schemas import DEFINITIONS

Document = dict[str, Any]


def prepared(document: Document, ids: Mapping[str, Sequence[str]]) -> Document:
    """Parameters take one of `ids` as often as any other value; what deletes does not, since it would end the
    others' luck. Definitions are recursive, of which Schemathesis takes minutes to make one: they are any object
    here, and tried by tests/fuzz/definitions.py."""
    whole = copy.deepcopy(document)
    for item in whole["paths"].values():
        for method, operation in item.items():
            for parameter in operation.get("parameters", []) if method != "delete" else []:
                known = ids.get(parameter["name"])
                if known and parameter["schema"].get("type") == "string":
                    parameter["schema"] = {"anyOf": [{"enum": list(known)}, parameter["schema"]]}
    schemas = whole["components"]["schemas"]
    roots = {name.capitalize() for name in DEFINITIONS} & set(schemas)
    for name in list(schemas):
        if name in roots:
            schemas[name] = {"type": "object"}
        elif name.partition(".")[0] in roots:
            del schemas[name]
    return whole
