"""What the campaigns and templates of some files name, and how the campaigns start each other."""

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import TypeVar, get_args

from headrace.cli.document import Document, Finding
from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.campaign_lint import Known, lint_campaigns
from headrace.contracts.errors import Problem
from headrace.contracts.segment import ListDefinition, SegmentDefinition, StagesDefinition
from headrace.contracts.survey import SurveyDefinition
from headrace.contracts.template import BlockDefinition, Template
from headrace.contracts.trait import TraitDefinition
from headrace.contracts.voucher import VoucherPool

T = TypeVar("T")


def campaign_findings(documents: Sequence[Document]) -> tuple[list[Finding], list[Finding]]:
    """What is wrong, such as campaigns in a circle; and notes: what is named and in none of the files, and what
    does nothing."""
    known = Known(
        campaigns=_by_id(documents, CampaignDefinition),
        segments=_by_id(documents, SegmentDefinition, ListDefinition, StagesDefinition),
        templates=_by_id(documents, *get_args(Template)),
        blocks=_by_id(documents, BlockDefinition),
        pools=_by_id(documents, VoucherPool),
        traits=_by_id(documents, TraitDefinition),
        surveys=_by_id(documents, SurveyDefinition),
    )
    places = {(one.kind, one.id): one for one in documents if one.kind in ("campaign", "template")}
    wrong: list[Finding] = []
    notes = list(_awards(documents, known.pools))
    for found in lint_campaigns(known):
        document = places[found.kind, found.id]
        (notes if found.note else wrong).append(Finding(document.file, document.number, found.problem))
    return wrong, notes


def _awards(documents: Sequence[Document], pools: Collection[str]) -> Iterator[Finding]:
    """Surveys that award a code of a pool that is in none of the files."""
    for one in documents:
        award = one.parsed.award if isinstance(one.parsed, SurveyDefinition) else None
        if award is not None and award.voucher is not None and award.voucher not in pools:
            near = get_close_matches(award.voucher, sorted(pools), n=1)
            hint = f"did you mean {near[0]}?" if near else "it must be there before a survey ends"
            problem = Problem("award.voucher", f"{award.voucher} is in none of these files", hint)
            yield Finding(one.file, one.number, problem)


def _by_id(documents: Sequence[Document], *kinds: type[T]) -> dict[str, T]:
    return {one.id: one.parsed for one in documents if isinstance(one.parsed, kinds)}
