"""Definition files: their documents, what kind each is, whether it is right."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.cli.document import Document as Document
from headrace.cli.document import Finding
from headrace.cli.references import asked_first
from headrace.contracts.campaign import parse_campaign
from headrace.contracts.documents import load_documents
from headrace.contracts.errors import InvalidDefinition, Problem
from headrace.contracts.plan import parse_plan
from headrace.contracts.policy import parse_policy
from headrace.contracts.segment import parse_segment
from headrace.contracts.survey import parse_survey
from headrace.contracts.template import parse_block, parse_template
from headrace.contracts.trait import parse_trait
from headrace.contracts.voucher import parse_voucher_pool
from headrace.importing.mapping import parse_mapping


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of definition: which service keeps it, under which path, and how it is checked offline."""

    name: str
    service: str
    path: str
    parse: Callable[[object], object]

    @property
    def moves(self) -> bool:
        """Whether customers enter and leave what it defines."""
        return self.path == "/v1/segments"


# In the order in which they are applied: a segment asks for computed traits, a campaign names templates, voucher
# pools and a segment, a template renders blocks and links to a survey.
KINDS: Mapping[str, Kind] = {
    "trait": Kind("trait", "segmenter", "/v1/traits", parse_trait),
    "survey": Kind("survey", "profiles", "/v1/surveys", parse_survey),
    "policy": Kind("policy", "messenger", "/v1/policies", parse_policy),
    "vouchers": Kind("vouchers", "messenger", "/v1/vouchers", parse_voucher_pool),
    "block": Kind("block", "messenger", "/v1/blocks", parse_block),
    "template": Kind("template", "messenger", "/v1/templates", parse_template),
    "segment": Kind("segment", "segmenter", "/v1/segments", parse_segment),
    "list": Kind("list", "segmenter", "/v1/segments", parse_segment),
    "stages": Kind("stages", "segmenter", "/v1/segments", parse_segment),
    "campaign": Kind("campaign", "messenger", "/v1/campaigns", parse_campaign),
}
_IMPORT = "import"
_PARSERS = {**{name: kind.parse for name, kind in KINDS.items()}, _IMPORT: parse_mapping, "plan": parse_plan}


def read_documents(files: Iterable[Path]) -> tuple[list[Document], list[Finding]]:
    """All documents that are right by themselves, and everything that is wrong with the others."""
    documents: list[Document] = []
    findings: list[Finding] = []
    for file in files:
        try:
            loaded = load_documents(file.read_text(encoding="utf-8"))
        except InvalidDefinition as error:
            findings += [Finding(file, None, problem) for problem in error.problems]
        except OSError as error:
            findings.append(Finding(file, None, Problem("", f"cannot be read: {error.strerror}")))
        except UnicodeDecodeError as error:
            findings.append(Finding(file, None, Problem("", f"cannot be read: {error}")))
        else:
            if not loaded:
                findings.append(Finding(file, None, Problem("", "has no definition in it")))
            for number, content in enumerate(loaded, 1):
                found = _check(file, number, content, documents)
                if isinstance(found, Document):
                    documents.append(found)
                else:
                    findings += [Finding(file, number, problem) for problem in found]
    return documents, findings


def _check(file: Path, number: int, content: Any, others: Iterable[Document]) -> Document | list[Problem]:
    kind = str(content.get("kind")) if isinstance(content, dict) else ""
    parse = _PARSERS.get(kind)
    if parse is None:
        return [Problem("kind", "names no kind of definition", f"write one of {', '.join(_PARSERS)}")]
    try:
        document = Document(file, number, kind, content, parse(content))
    except InvalidDefinition as error:
        return error.problems
    if kind in KINDS and any(_same(document, other) for other in others):
        return [Problem("id", f"{kind} {document.id} is defined twice", "remove one, or give it another id")]
    return document


def _same(one: Document, other: Document) -> bool:
    """Both are kept by one service under one id."""
    if one.kind not in KINDS or other.kind not in KINDS:
        return False
    return KINDS[one.kind].path == KINDS[other.kind].path and one.id == other.id


def in_order(documents: Iterable[Document]) -> list[Document]:
    """Those that a service keeps, what is named before what names it; the files' order otherwise.

    An import mapping or a plan is no definition of a service and is left out.
    """
    kept = [document for document in documents if document.kind in KINDS]
    order = [kind.path for kind in KINDS.values()]
    return sorted(asked_first(kept), key=lambda document: order.index(KINDS[document.kind].path))
