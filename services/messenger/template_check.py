"""What is wrong in a template's or a block's texts, before anybody gets them. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from liquid.exceptions import LiquidError, TemplateNotFoundError

from headrace.contracts.errors import Problem
from headrace.contracts.model_problems import near
from headrace.contracts.template import BlockDefinition, Template, WhatsAppTemplate
from services.messenger.blocks import blocks_named, circle, reached
from services.messenger.liquid_engine import Flavour, Given, environment
from services.messenger.mjml import MjmlFailed, mjml_to_html
from services.messenger.pieces import PARAMETERS, Piece, every
from services.messenger.render import NO_BLOCKS
from services.messenger.variables import path_problems

_GUIDE = "see the Liquid documentation for tags and filters"


def check(template: Template, blocks: Mapping[str, BlockDefinition] = NO_BLOCKS) -> list[Problem]:
    """Syntax, and unknown filters, variables and blocks: its own, and those of the blocks that it renders."""
    also = (PARAMETERS,) if isinstance(template, WhatsAppTemplate) else ()
    return [problem for piece in every(template) for problem in _check(piece, blocks, also)]


def check_block(block: BlockDefinition, blocks: Mapping[str, BlockDefinition]) -> list[Problem]:
    """`blocks`: the others. A variable that is not known may be given by who renders the block."""
    together = {**blocks, block.id: block}
    way = circle(block.id, together)
    if way is not None:
        return [Problem("", f"the block renders itself: {' → '.join(way)}", "leave one of them out")]
    pieces = [Piece("html", "html", block.html, "html")] if block.html is not None else []
    pieces += [Piece("text", "text", block.text, "text")] if block.text is not None else []
    return [problem for piece in pieces for problem in _check(piece, together, (), open_ended=True)]


def check_users(
    block: BlockDefinition, blocks: Mapping[str, BlockDefinition], templates: Iterable[Template]
) -> list[Problem]:
    """What would be wrong in the templates that render this block, were it as it is here."""
    together = {**blocks, block.id: block}
    problems = []
    for template in templates:
        names = reached(blocks_named(piece.source for piece in every(template)), together)
        if block.id in names:
            problems += [
                Problem(f"template {template.id}: {found.path}", found.reason, found.suggestion)
                for found in check(template, together)
            ]
    return problems


def _check(
    piece: Piece, blocks: Mapping[str, BlockDefinition], also: Iterable[str], *, open_ended: bool = False
) -> list[Problem]:
    unknown = sorted(reached(blocks_named([piece.source]), blocks) - blocks.keys())
    if unknown:
        hint = near(unknown[0], blocks) or "put the block first"
        return [Problem(piece.path, f"there is no block {unknown[0]}", hint)]
    flavour: Flavour = "text" if piece.written == "text" else "html"
    made = environment(flavour, Given(blocks))
    try:
        source = mjml_to_html(piece.source) if piece.written == "mjml" else piece.source
        template = made.from_string(source)
        found = template.analyze()
    except MjmlFailed as error:
        return [Problem(piece.path, f"MJML: {error}", "see the MJML documentation")]
    except TemplateNotFoundError as error:
        return [Problem(piece.path, f"there is no block {error}", "put the block first")]
    except LiquidError as error:
        return [Problem(piece.path, f"Liquid: {error.message}", _GUIDE)]
    return [*_filters(piece.path, found.filters, made.filters), *_variables(piece.path, found, also, open_ended)]


def _filters(path: str, used: Iterable[str], known: Mapping[str, Any]) -> list[Problem]:
    return [
        Problem(path, f"the filter {name} does not exist", near(name, known) or _GUIDE)
        for name in used
        if name not in known
    ]


def _variables(path: str, found: Any, also: Iterable[str], open_ended: bool) -> list[Problem]:
    return [
        problem
        for name, uses in found.globals.items()
        for problem in path_problems(path, name, [use.segments for use in uses], also=also, open_ended=open_ended)
    ]
