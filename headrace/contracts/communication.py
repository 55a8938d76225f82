"""How a customer wants to be written to: the trait `communication`, which the messenger obeys.

`{"channels": ["email"], "topics": ["offers"], "monthly_maximum": 4}`; what is absent restricts nothing.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

COMMUNICATION = "communication"
MAX_MONTHLY = 1_000


class Communication(msgspec.Struct, frozen=True, omit_defaults=True):
    """`channels`: the only ones; `topics`: of campaigns that name a topic, the only ones; `monthly_maximum`:
    marketing messages within 30 days; `preferred`: the channel that the customer likes best."""

    channels: tuple[str, ...] | None = None
    topics: tuple[str, ...] | None = None
    monthly_maximum: int | None = None
    preferred: str | None = None

    def allows(self, channel: str, topic: str | None) -> bool:
        if self.channels is not None and channel not in self.channels:
            return False
        return topic is None or self.topics is None or topic in self.topics


def read_communication(traits: Mapping[str, Any]) -> Communication:
    """What the trait says. A part that is not as it should be restricts nothing."""
    said = traits.get(COMMUNICATION)
    if not isinstance(said, Mapping):
        return Communication()
    most, preferred = said.get("monthly_maximum"), said.get("preferred")
    return Communication(
        _names(said.get("channels")),
        _names(said.get("topics")),
        most if isinstance(most, int) and not isinstance(most, bool) and most >= 0 else None,
        preferred if preferred in ("sms", "email", "viber", "whatsapp") else None,
    )


def _names(value: object) -> tuple[str, ...] | None:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list | tuple) else None
