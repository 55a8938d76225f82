"""Definitions as people write them, and what they are told."""

from typing import Any

import pytest

from headrace.contracts.documents import load_document
from headrace.contracts.errors import InvalidDefinition, Problem
from headrace.contracts.segment import parse_segment


def definition(when: Any) -> dict[str, Any]:
    return {"kind": "segment", "id": "s", "name": "S", "when": when}


def written(text: str) -> Any:
    """The value of a line of YAML."""
    return load_document(text)


def problems(document: object) -> list[Problem]:
    """What is wrong; each with everything that helps."""
    with pytest.raises(InvalidDefinition) as caught:
        parse_segment(document)
    assert caught.value.problems
    assert all(problem.reason and problem.suggestion for problem in caught.value.problems)
    return caught.value.problems


def told(document: object) -> list[tuple[str, str, str]]:
    return [(problem.path, problem.reason, problem.suggestion) for problem in problems(document)]
