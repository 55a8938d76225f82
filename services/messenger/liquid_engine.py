"""The Liquid that templates get: no files, bounded loops, memory and output, and blocks that they share."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, TextIO

from liquid import BoundTemplate, Environment, RenderContext
from liquid.exceptions import TemplateNotFoundError
from liquid.loader import BaseLoader
from liquid.output import LimitedStringIO

from headrace.contracts.template import BlockDefinition
from services.messenger.held import KEY, Held, held_in
from services.messenger.html_text import html_to_text
from services.messenger.liquid_filters import MAX_VALUE, OURS, UNSAFE, Work, bounded, work
from services.messenger.liquid_nodes import EscapedContent, NoticingEcho, NoticingFor, NoticingOutput

Flavour = Literal["text", "html", "text_in_html", "html_in_text"]
"""What a piece is written as, and where its text goes."""


class _Environment(Environment):
    output_stream_limit = MAX_VALUE
    loop_iteration_limit = 10_000
    local_namespace_limit = 256 * 1024
    context_depth_limit = 20


class _AsText(BoundTemplate):
    """HTML that goes into a text: its words are what is left."""

    def render_with_context(self, context: RenderContext, buffer: TextIO, *args: Any, **kwargs: Any) -> None:
        own = LimitedStringIO(limit=MAX_VALUE)
        super().render_with_context(context, own, *args, **kwargs)
        buffer.write(html_to_text(own.getvalue()))


class _AsTextEnvironment(_Environment):
    template_class = _AsText


class _Blocks(BaseLoader):
    """Finds a block among those that the rendering holds."""

    def get_source(self, env: Environment, template_name: str, **kwargs: object) -> Any:
        raise TemplateNotFoundError(template_name)

    def load(
        self, env: Environment, name: str, *, context: RenderContext | None = None, **kwargs: object
    ) -> BoundTemplate:
        held = held_in(context) if context is not None else None
        if held is None or name not in held.blocks:
            raise TemplateNotFoundError(name)
        source, flavour = block_source(held.blocks[name], html=env.autoescape)
        return compiled(source, flavour, name)


class Given(BaseLoader):
    """Finds a block among these: for looking at templates without rendering them."""

    def __init__(self, blocks: Mapping[str, BlockDefinition]) -> None:
        self._blocks = blocks

    def get_source(self, env: Environment, template_name: str, **kwargs: object) -> Any:
        if template_name not in self._blocks:
            raise TemplateNotFoundError(template_name)
        source, _ = block_source(self._blocks[template_name], html=env.autoescape)
        return source, template_name, None, None


def block_source(block: BlockDefinition, *, html: bool) -> tuple[str, Flavour]:
    """A block has its text for its surroundings, or one that stands for both."""
    if html:
        return (block.html, "html") if block.html is not None else ((block.text or "").strip(), "text_in_html")
    return (block.text, "text") if block.text is not None else (block.html or "", "html_in_text")


def environment(flavour: Flavour, loader: BaseLoader) -> Environment:
    kind = _AsTextEnvironment if flavour == "html_in_text" else _Environment
    made = kind(autoescape=flavour != "text", loader=loader)
    del made.tags["include"]
    for tag in (NoticingOutput, NoticingEcho, NoticingFor):
        made.add_tag(tag)
    if flavour == "text_in_html":
        made.add_tag(EscapedContent)
    filters = {**made.filters, **OURS}
    made.filters = {name: bounded(name, plain) for name, plain in filters.items() if name not in UNSAFE}
    return made


_FLAVOURS: tuple[Flavour, ...] = ("text", "html", "text_in_html", "html_in_text")
_ENVIRONMENTS: Mapping[Flavour, Environment] = {flavour: environment(flavour, _Blocks()) for flavour in _FLAVOURS}


@lru_cache(maxsize=1024)
def compiled(source: str, flavour: Flavour, name: str = "") -> BoundTemplate:
    """Raises LiquidError."""
    return _ENVIRONMENTS[flavour].from_string(source, name=name)


def run(source: str, flavour: Flavour, variables: Mapping[str, Any], held: Held) -> str:
    """Raises LiquidError, and whatever a filter raises on odd data."""
    token = work.set(Work())
    try:
        return str(compiled(source, flavour).render({**variables, KEY: held}))
    finally:
        work.reset(token)
