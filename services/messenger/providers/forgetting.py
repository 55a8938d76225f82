"""Having providers forget messages of people who were erased."""

from collections.abc import Iterable, Mapping

from services.messenger.providers.port import Provider


async def forget(providers: Mapping[str, Provider], sent: Iterable[tuple[str, str]]) -> None:
    """`sent`: (channel, message id). Raises OSError: repeat."""
    by_channel: dict[str, list[str]] = {}
    for channel, message_id in sent:
        by_channel.setdefault(channel, []).append(message_id)
    for channel, message_ids in by_channel.items():
        if channel in providers:
            await providers[channel].forget(message_ids)
