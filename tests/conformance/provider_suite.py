"""What every provider must do, whatever stands behind it. An adapter's test module subclasses `ProviderSuite`
and gives a `Bench`: the provider, and a look at what its other side has received."""

import asyncio
from typing import Protocol

import pytest

from services.messenger.providers.port import Accepted, NotSent, Outgoing, Provider, Refused, SendResult, Unsure

MESSAGE_ID = "s0123456789abcdef0123456789abcdef"
TEXT = "Dobrý den, 20 % sleva 🎁\nŽluťoučký kůň"
LINE = "Dobrý den, 20 % sleva 🎁 Žluťoučký kůň"


class Bench(Protocol):
    """A provider in front of a real or fake other side that can misbehave."""

    provider: Provider
    channel: str
    to: str

    async def received(self) -> list[str]:
        """Texts that the other side has taken on, in order."""
        ...

    def misbehave(self, how: str) -> None:
        """Do to the next messages: refuse, throttle, fail (without taking them on), or take them on and drop the
        connection, hang, or answer what is no reply (garbage)."""
        ...

    def behave(self) -> None:
        """Stop misbehaving."""
        ...

    async def go_away(self) -> None:
        """Stop listening: from now on nothing can be reached."""
        ...


def outgoing(bench: Bench, number: int = 0, text: str | None = None) -> Outgoing:
    """A message that fits the bench's channel; it says `text`."""
    mail, whatsapp = bench.channel == "email", bench.channel == "whatsapp"
    text = text or (LINE if whatsapp else TEXT)
    return Outgoing(
        id=f"{MESSAGE_ID[:-2]}{number:02d}",
        campaign_id="welcome",
        to=bench.to,
        text=text,
        at=1_700_000_000_000,
        channel=bench.channel,
        subject="Žluťoučký kůň" if mail else None,
        html=f"<p>{text}</p>" if mail else None,
        extras={"name": "welcome", "language": "cs", "parameters": (text,)} if whatsapp else {},
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
        assert_slug(result.reason)
        assert await bench.received() == []

    async def test_throttling_means_later(self, bench: Bench) -> None:
        bench.misbehave("throttle")
        assert isinstance(await bench.provider.send(outgoing(bench)), NotSent)
        bench.behave()
        assert isinstance(await bench.provider.send(outgoing(bench)), Accepted)

    async def test_a_failure_is_neither_a_refusal_nor_a_success(self, bench: Bench) -> None:
        """What is not idempotent may say "later" only where nothing can have been taken on."""
        bench.misbehave("fail")
        result = await bench.provider.send(outgoing(bench))
        assert isinstance(result, Unsure | NotSent)
        assert_slug(result.reason)
        bench.behave()
        assert isinstance(await bench.provider.send(outgoing(bench)), Accepted)

    @pytest.mark.parametrize("how", ["drop", "hang"])
    async def test_a_lost_reply_leaves_the_fate_unknown(self, bench: Bench, how: str) -> None:
        bench.misbehave(how)
        message = outgoing(bench)
        assert isinstance(await bench.provider.send(message), Unsure)
        assert await bench.received() == [message.text]

    async def test_a_reply_that_is_none_leaves_the_fate_unknown(self, bench: Bench) -> None:
        bench.misbehave("garbage")
        message = outgoing(bench)
        result = await bench.provider.send(message)
        assert isinstance(result, Unsure)
        assert_slug(result.reason)
        assert await bench.received() == [message.text]
        bench.behave()
        assert isinstance(await bench.provider.send(outgoing(bench, 1)), Accepted)

    async def test_unreachable_means_later_and_is_a_sign_against_the_provider(self, bench: Bench) -> None:
        await bench.go_away()
        result = await bench.provider.send(outgoing(bench))
        assert isinstance(result, NotSent)
        assert result.concerns == ("message" if bench.channel == "webhook" else "provider")

    async def test_closing_twice_is_fine(self, bench: Bench) -> None:
        await bench.provider.send(outgoing(bench))
        await bench.provider.close()
        await bench.provider.close()


def assert_slug(reason: str) -> None:
    """A reason goes into reports and logs: it is short and holds nothing of the message."""
    assert len(reason) <= 64
    assert reason.replace("_", "").isalnum()
    assert "jana" not in reason
    assert "601000001" not in reason


async def gather_sends(provider: Provider, messages: list[Outgoing]) -> list[SendResult]:
    """All at once."""
    return list(await asyncio.gather(*(provider.send(message) for message in messages)))
