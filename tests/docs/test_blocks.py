"""What stands in the pages is of a kind that some test carries out or checks."""

import json
import re
from typing import Any

import pytest

from headrace.cli.documents import KINDS
from headrace.contracts.documents import load_documents
from tests.docs.blocks import PAGES, Block, blocks, blocks_of, indented
from tests.docs.reader import ELSEWHERE, SAME
from tests.docs.shown import same_json, same_text

ALL = [block for page in PAGES for block in blocks(page)]
MARKS = {
    "sh": {"until", "fails", *ELSEWHERE},
    "python": {"kafka"},
    "js": {"node", "kafka"},
    "html": set(),
    "json": {"output"},
    "text": {"output"},
    "yaml": set(),
    "promql": set(),
}
STOPPED = r"pg_|dropdb|\.headrace|headrace (?:restored|migrate)"
COMMAND = re.compile(r"^ *(?:headrace [a-z]|make [a-z]|curl |docker |kubectl |npm |pip |git |\.venv/|export )")


@pytest.mark.parametrize("page", PAGES)
def test_commands_stand_in_fences(page: str) -> None:
    """Where they are run. What is set off by indentation is a question to Prometheus, a request or a message."""
    found = [
        f"{page}:{line}: {text}" for line, text in indented(page) if any(map(COMMAND.match, text.splitlines()))
    ]
    assert [one for one in found if "headrace/" not in one] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_has_a_language_and_marks_that_a_test_knows(page: str) -> None:
    assert [str(block) for block in blocks(page) if block.language not in MARKS] == []
    assert [str(block) for block in blocks(page) if block.marks - MARKS[block.language]] == []


@pytest.mark.parametrize("page", PAGES)
def test_an_output_follows_a_command_that_is_run(page: str) -> None:
    of_page = blocks(page)
    for before, block in zip([None, *of_page], of_page, strict=False):
        if "output" in block.marks:
            assert block.language in SAME, block
            assert before is not None, block
            assert before.language == "sh", block
            assert not before.marks & ELSEWHERE, block


@pytest.mark.parametrize("block", [one for one in ALL if one.language == "json"], ids=str)
def test_json_is_json(block: Block) -> None:
    decoder, rest = json.JSONDecoder(), block.text.strip()
    while rest:
        _, end = decoder.raw_decode(rest)
        rest = rest[end:].strip()


def definitions(block: Block) -> list[Any]:
    return [one for one in load_documents(block.text) if isinstance(one, dict) and one.get("kind") in KINDS]


@pytest.mark.parametrize("block", [one for one in ALL if one.language == "yaml"], ids=str)
def test_definitions_are_right(block: Block) -> None:
    for definition in definitions(block):
        KINDS[definition["kind"]].parse(definition)


def test_what_runs_elsewhere_needs_what_its_mark_says() -> None:
    words = {
        "docker": r"docker|make compose|deploy/secrets",
        "cluster": "kubectl|kafka-",
        "kafka": "9092",
        "stopped": STOPPED,
    }
    for block in ALL:
        for mark in block.marks & words.keys():
            assert re.search(words[mark], block.text), f"{block} is marked {mark} and could be run"


def test_a_fence_is_taken_apart() -> None:
    page = "text\n```sh until\na\n```\n\n1. item\n\n   ```text output\n   b\n    c\n   ```\n"
    first, second = blocks_of("a.md", page)
    assert first == Block("a.md", 2, "sh", frozenset({"until"}), "a\n")
    assert second == Block("a.md", 8, "text", frozenset({"output"}), "b\n c\n")


@pytest.mark.parametrize(
    ("shown", "given", "learnt"),
    [
        ("a  b", "a b\n", {}),
        ("key <id> of …", "key k1 of anything at all", {"id": "k1"}),
        ("<id> <id>", "k1 k1", {"id": "k1"}),
        ("<id> <id>", "k1 k2", None),
        ("…\nlast", "one\ntwo\nlast", {}),
        ("first", "first\nsecond", None),
        ("<known>", "x", None),
        ("<known>", "v", {}),
    ],
)
def test_texts_are_compared(shown: str, given: str, learnt: dict[str, str] | None) -> None:
    assert same_text(shown, given, {"known": "v"}) == learnt


@pytest.mark.parametrize(
    ("shown", "given", "same"),
    [
        ('{"a": 1} {"b": 2}', '{"a":1}\n{"b":2}', True),
        ('{"a": 1}', '{"a": 1, "b": 2}', False),
        ('{"a": 1, "…": "…"}', '{"a": 1, "b": 2}', True),
        ('{"a": 1, "…": "…"}', '{"b": 2}', False),
        ('[1, "…"]', "[1, 2, 3]", True),
        ("[1]", "[1, 2]", False),
        ("[1]", "[true]", False),
        ('{"a": "…"}', '{"a": {"b": 1}}', True),
        ('{"a": "p<id>", "b": "<id>"}', '{"a": "p1", "b": "1"}', True),
        ('{"a": "p<id>", "b": "<id>"}', '{"a": "p1", "b": "2"}', False),
        ("{}", "not json", False),
    ],
)
def test_json_is_compared(shown: str, given: str, same: bool) -> None:
    assert (same_json(shown, given, {}) is not None) == same
