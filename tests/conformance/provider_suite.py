"""What every provider must do, whatever stands behind it. An adapter's test module subclasses `ProviderSuite`
and gives a `Bench`: the provider, and a look at what its other side has received."""

import asyncio
from typing import Protocol

import pytest

from services.messenger.providers.port import Accepted, NotSent, Outgoing, Provider, Refused, Unsure

MESSAGE_ID = "s0123456789abcdef0123456789abcdef"


class Bench(Protocol):
    """A provider in front of a real or fake other side that can misbehave."""

    provider: Provider
    sms: bool

    async def received(self) -> list[str]:
        """Texts that the other side has taken on, in order."""
        ...

    def misbehave(self, how: str) -> None:
        """Do to the next message: refuse, throttle, drop (take it on and lose the reply), hang (likewise)."""
        ...

    def behave(self) -> None:
        """Stop misbehaving."""
        ...

    async def go_away(self) -> None:
        """Stop listening: from now on nothing can be reached."""
        ...


def outgoing(bench: Bench, number: int = 0, text: str = "Dobrý den, 20 % sleva 🎁\nŽluťoučký kůň") -> Outgoing:
    """A message that fits the bench's channel."""
    return Outgoing(
        id=f"{MESSAGE_ID[:-2]}{number:02d}",
        campaign_id="welcome",
        to="+420601000001" if bench.sms else "jana@shop.test",
        text=text,
        at=1_700_000_000_000,
        subject=None if bench.sms else "Žluťoučký kůň",
        html=None if bench.sms else f"<p>{text}</p>",
    )


class ProviderSuite:
    """Shared behaviours. A bench that cannot be made to misbehave in some way says so by a strict xfail."""

    async def test_what_is_sent_is_received_whole(self, bench: Bench) -> None:
        message = outgoing(bench)
        assert isinstance(await bench.provider.send(message), Accepted)
        assert await bench.received() == [message.text]

    async def test_messages_at_the_same_time_all_arrive(self, bench: Bench) -> None:
        messages = [outgoing(bench, number, f"text {number}") for number in range(20)]
        results = await gather_sends(bench.provider, messages)
        assert all(isinstance(result, Accepted) for result in results)
        assert sorted(await bench.received()) == sorted(message.text for message in messages)

    async def test_a_repeat_is_recognised_if_the_provider_says_so(self, bench: Bench) -> None:
        message = outgoing(bench)
        for _ in range(3):
            assert isinstance(await bench.provider.send(message), Accepted)
        assert len(await bench.received()) == (1 if bench.provider.idempotent else 3)

    async def test_a_refusal_is_final(self, bench: Bench) -> None:
        bench.misbehave("refuse")
        result = await bench.provider.send(outgoing(bench))
        assert isinstance(result, Refused)
        assert "jana" not in result.reason
        assert await bench.received() == []

    async def test_throttling_means_later(self, bench: Bench) -> None:
        bench.misbehave("throttle")
        assert isinstance(await bench.provider.send(outgoing(bench)), NotSent)
        bench.behave()
        assert isinstance(await bench.provider.send(outgoing(bench)), Accepted)

    @pytest.mark.parametrize("how", ["drop", "hang"])
    async def test_a_lost_reply_leaves_the_fate_unknown(self, bench: Bench, how: str) -> None:
        bench.misbehave(how)
        message = outgoing(bench)
        assert isinstance(await bench.provider.send(message), Unsure)
        assert await bench.received() == [message.text]

    async def test_unreachable_means_later(self, bench: Bench) -> None:
        await bench.go_away()
        assert isinstance(await bench.provider.send(outgoing(bench)), NotSent)

    async def test_closing_twice_is_fine(self, bench: Bench) -> None:
        await bench.provider.send(outgoing(bench))
        await bench.provider.close()
        await bench.provider.close()


async def gather_sends(provider: Provider, messages: list[Outgoing]) -> list[object]:
    """All at once."""
    return list(await asyncio.gather(*(provider.send(message) for message in messages)))
