"""Blocks that templates share: who renders which, and that none renders itself. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from liquid import BoundTemplate, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions import StringLiteral
from liquid.builtin.tags.render_tag import RenderNode
from liquid.exceptions import LiquidError

from headrace.contracts.template import BlockDefinition, Template
from services.messenger.liquid_engine import compiled
from services.messenger.pieces import every


def blocks_named(sources: Iterable[str]) -> frozenset[str]:
    """Ids of the blocks that these texts render. A text that is no Liquid names none."""
    return frozenset(name for source in sources if "render" in source for name in _named(source))


def blocks_of(template: Template) -> frozenset[str]:
    """Ids of the blocks that it renders itself."""
    return blocks_named(piece.source for piece in every(template))


def blocks_in(block: BlockDefinition) -> frozenset[str]:
    return blocks_named(source for source in (block.html, block.text) if source is not None)


def users_of(block_id: str, templates: Iterable[Template], blocks: Iterable[BlockDefinition]) -> list[str]:
    """What renders this block itself, as one reads it: `template welcome`, `block footer`."""
    found = [f"template {one.id}" for one in templates if block_id in blocks_of(one)]
    return sorted([*found, *(f"block {one.id}" for one in blocks if block_id in blocks_in(one))])


def reached(names: Iterable[str], blocks: Mapping[str, BlockDefinition]) -> frozenset[str]:
    """These blocks and all that they render."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += blocks_in(blocks[name]) if name in blocks else ()
    return frozenset(found)


def circle(block_id: str, blocks: Mapping[str, BlockDefinition]) -> list[str] | None:
    """The way from this block back to itself, or None."""
    ways = [[block_id]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for name in sorted(blocks_in(blocks[way[-1]])) if way[-1] in blocks else ():
            if name == block_id:
                return [*way, name]
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return None


@lru_cache(maxsize=256)
def _named(source: str) -> frozenset[str]:
    try:
        template = compiled(source, "text")
    except LiquidError:
        return frozenset()
    context = RenderContext(template)
    return frozenset(name for node in _nodes(template, context) if (name := _block_name(node)) is not None)


def _nodes(template: BoundTemplate, context: RenderContext) -> Iterator[Node]:
    waiting = list(template.nodes)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children(context, include_partials=False)


def _block_name(node: Node) -> str | None:
    if isinstance(node, RenderNode) and isinstance(node.name, StringLiteral):
        return str(node.name.value)
    return None
