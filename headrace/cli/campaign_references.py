"""What the campaigns and templates of some files name, and how the campaigns start each other."""

from collections.abc import Sequence
from typing import TypeVar, get_args

from headrace.cli.document import Document, Finding
from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.campaign_lint import Known, lint_campaigns
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
    notes: list[Finding] = []
    for found in lint_campaigns(known):
        document = places[found.kind, found.id]
        (notes if found.note else wrong).append(Finding(document.file, document.number, found.problem))
    return wrong, notes


def _by_id(documents: Sequence[Document], *kinds: type[T]) -> dict[str, T]:
    return {one.id: one.parsed for one in documents if isinstance(one.parsed, kinds)}
