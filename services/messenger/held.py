"""What one rendering carries along, out of a template's reach. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from liquid import RenderContext

from headrace.contracts.template import BlockDefinition

KEY = "\0held"
"""No template can name it: definitions hold no U+0000."""
_MOST_MISSING = 50
_LONGEST = 200


@dataclass(slots=True)
class Held:
    """`missing` collects what the template names and the customer lacks, in the order of the text."""

    blocks: Mapping[str, BlockDefinition] = field(default_factory=dict)
    zone: str | None = None
    locale: str | None = None
    missing: dict[str, None] = field(default_factory=dict)

    def note(self, name: str) -> None:
        if len(self.missing) < _MOST_MISSING:
            self.missing[name[:_LONGEST]] = None


def held_in(context: RenderContext) -> Held | None:
    found = context.globals.get(KEY)
    return found if isinstance(found, Held) else None
