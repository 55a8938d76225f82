"""Definition files: their documents, what kind each is, whether it is right."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.cli.importing.mapping import parse_mapping
from headrace.contracts.campaign import parse_campaign, parse_template
from headrace.contracts.documents import load_documents
from headrace.contracts.errors import InvalidDefinition, Problem
from headrace.contracts.segment import parse_segment


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of definition: which service keeps it, under which path, and how it is checked offline."""

    service: str
    path: str
    parse: Callable[[object], object]


# In the order in which they are applied: a campaign names a template and a segment.
KINDS: Mapping[str, Kind] = {
    "template": Kind("messenger", "/v1/templates", parse_template),
    "segment": Kind("segmenter", "/v1/segments", parse_segment),
    "campaign": Kind("messenger", "/v1/campaigns", parse_campaign),
}
_IMPORT = "import"
_PARSERS = {_IMPORT: parse_mapping, **{name: kind.parse for name, kind in KINDS.items()}}


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file. `content` is as written."""

    file: Path
    kind: str
    content: Any

    @property
    def id(self) -> str:
        return str(self.content["id"])


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem and the file it is in."""

    file: Path
    problem: Problem

    def __str__(self) -> str:
        parts = (str(self.file), self.problem.path or "(top)", self.problem.reason, self.problem.suggestion)
        return ": ".join(part for part in parts if part)


def read_documents(files: Iterable[Path]) -> tuple[list[Document], list[Finding]]:
    """All documents that are right, and everything that is wrong with the others."""
    documents: list[Document] = []
    findings: list[Finding] = []
    for file in files:
        try:
            loaded = load_documents(file.read_text(encoding="utf-8"))
        except InvalidDefinition as error:
            findings += [Finding(file, problem) for problem in error.problems]
        except (OSError, UnicodeDecodeError) as error:
            findings.append(Finding(file, Problem("", f"cannot be read: {error}")))
        else:
            for content in loaded:
                _check(file, content, documents, findings)
    return documents, findings


def _check(file: Path, content: Any, documents: list[Document], findings: list[Finding]) -> None:
    kind = str(content.get("kind")) if isinstance(content, dict) else ""
    parse = _PARSERS.get(kind)
    if parse is None:
        known = ", ".join([*KINDS, _IMPORT])
        findings.append(Finding(file, Problem("kind", "names no kind of definition", f"write one of {known}")))
        return
    try:
        parse(content)
    except InvalidDefinition as error:
        findings += [Finding(file, problem) for problem in error.problems]
        return
    document = Document(file, kind, content)
    if kind != _IMPORT and any(d.kind == kind and d.id == document.id for d in documents):
        findings.append(Finding(file, Problem("id", f"{kind} {document.id} is defined twice", "remove one")))
        return
    documents.append(document)


def in_order(documents: Iterable[Document]) -> list[Document]:
    """Those that a service keeps, what is named before what names it; the files' order otherwise.

    An import mapping is no definition of a service and is left out.
    """
    order = list(KINDS)
    return sorted((d for d in documents if d.kind in KINDS), key=lambda document: order.index(document.kind))
