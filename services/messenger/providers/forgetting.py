"""Having providers forget messages of people who were erased."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol


class Forgetful(Protocol):
    """A channel, or its only provider."""

    async def forget(self, message_ids: Sequence[str]) -> None: ...


async def forget(channels: Mapping[str, Forgetful], sent: Iterable[tuple[str, str]]) -> None:
    """`sent`: (channel, message id). Raises OSError: repeat."""
    by_channel: dict[str, list[str]] = {}
    for channel, message_id in sent:
        by_channel.setdefault(channel, []).append(message_id)
    for channel, message_ids in by_channel.items():
        if channel in channels:
            await channels[channel].forget(message_ids)
