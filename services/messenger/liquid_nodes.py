"""Output and loops that notice what is missing: it is empty in the text, and its name is told."""

from typing import Any, TextIO

from liquid import RenderContext, escape
from liquid.builtin.content import ContentNode, Literal
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.stringify import to_liquid_string
from liquid.undefined import is_undefined

from services.messenger.held import Held, held_in


class _NoticingOutput(OutputNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        held, expression = held_in(context), self.expression
        if held is None or not isinstance(expression, FilteredExpression):
            return int(super().render_to_output(context, buffer))
        return buffer.write(to_liquid_string(_evaluated(expression, context, held), context.autoescape))


class _NoticingEcho(_NoticingOutput, EchoNode):
    pass


class _NoticingFor(ForNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        held, over = held_in(context), self.expression.iterable
        if (
            held is not None
            and self.default is None
            and isinstance(over, Path)
            and is_blank(over.evaluate(context))
        ):
            held.note(str(over))
        return int(super().render_to_output(context, buffer))


class NoticingOutput(Output):
    node_class = _NoticingOutput


class NoticingEcho(EchoTag):
    node_class = _NoticingEcho


class NoticingFor(ForTag):
    node_class = _NoticingFor


class _EscapedContent(ContentNode):
    def __init__(self, token: Any, text: str) -> None:
        super().__init__(token, str(escape(text)).replace("\n", "<br>\n"))


class EscapedContent(Literal):
    """Plain text that is used in HTML: its own letters are escaped too, its lines stay lines."""

    node_class = _EscapedContent


def _evaluated(expression: FilteredExpression, context: RenderContext, held: Held) -> object:
    """What is missing at the left is told, unless a `default` filter stands in for it."""
    value = expression.left.evaluate(context)
    filters = expression.filters or ()
    lacking = isinstance(expression.left, Path) and is_blank(value)
    for each in filters:
        value = each.evaluate(value, context)
        for path in (argument.value for argument in each.args):
            if each.name != "default" and isinstance(path, Path) and is_blank(path.evaluate(context)):
                held.note(str(path))
    if lacking and (is_blank(value) or not any(each.name == "default" for each in filters)):
        held.note(str(expression.left))
    return value


def is_blank(value: object) -> bool:
    """Whether nothing would be seen of it."""
    if value is None or is_undefined(value):
        return True
    return not value.strip() if isinstance(value, str) else isinstance(value, list | dict) and not value
