"""Reading definitions from YAML or JSON text, as people write them.

YAML 1.1, which PyYAML speaks, turns `on:` into True, `NO` into False, `12:30` into 750 and a date into an
object. Definitions are JSON in spirit: here only `true`, `false`, `null` and numbers are not text.
"""

import re
from contextlib import suppress
from typing import Any

import msgspec
import yaml

from headrace.contracts.errors import InvalidDefinition, Problem

_CORE_TAGS = {
    "tag:yaml.org,2002:bool": (re.compile(r"^(?:true|false)$"), "tf"),
    "tag:yaml.org,2002:null": (re.compile(r"^(?:null|~|)$"), ["n", "~", ""]),
    "tag:yaml.org,2002:int": (re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), "-+0123456789"),
    "tag:yaml.org,2002:float": (
        re.compile(r"^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$"),
        "-+0123456789",
    ),
}


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core schema, without aliases (a few bytes of them can stand for gigabytes)."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (PyYAML's own name)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", self.get_mark())
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A key that is there twice would hide its first value, and with it half of a condition."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return super().construct_mapping(node, deep)


for _tag, (_pattern, _first) in _CORE_TAGS.items():
    _Loader.add_implicit_resolver(_tag, _pattern, list(_first))


def load_documents(text: str) -> list[Any]:
    """Every document of a YAML (or JSON) text, empty ones left out. Raises InvalidDefinition with the line."""
    if text.lstrip()[:1] in ("{", "["):
        # JSON first: YAML reads an escaped emoji (two surrogates) as two characters that are none, and slowly
        with suppress(msgspec.MsgspecError, UnicodeError):
            return [_read_json(text)]
    try:
        return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "the text cannot be read as YAML or JSON"
        raise InvalidDefinition([Problem(where, reason, "check indentation, quotes and brackets")]) from error


def _read_json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except RecursionError as error:
        raise InvalidDefinition([Problem("", "is nested too deeply", "flatten all and any")]) from error


def load_document(text: str) -> Any:
    """The one document of a text."""
    documents = load_documents(text)
    if len(documents) != 1:
        raise InvalidDefinition(
            [Problem("", f"expected one document, found {len(documents)}", "send one at a time")]
        )
    return documents[0]
