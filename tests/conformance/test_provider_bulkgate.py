"""BulkGate against a server of its shape: the provider port, and the requests as its documentation has them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from services.messenger.providers.bulkgate import BulkGateAccount, BulkGateProvider
from services.messenger.providers.port import (
    Accepted,
    Fallback,
    NotSent,
    Outgoing,
    Provider,
    Refused,
    SendResult,
    Unsure,
)
from tests.conformance.http_bench import Asked, HttpBench, Says
from tests.conformance.provider_suite import ProviderSuite, outgoing


def told(status: str, **more: Any) -> dict[str, Any]:
    """BulkGate's reply on one number."""
    line = {"status": status, "message_id": "sms-7", "part_id": ["sms-7_1"], "number": "420601000001", **more}
    return {"data": {"total": {"price": 0.5, "status": {status: 1}}, "response": [line]}}


class BulkGateBench(HttpBench):
    """Takes messages at the two addresses of the advanced API; refuses what BulkGate refuses."""

    well = Says(200, told("accepted", channel="sms"))
    answers: ClassVar[Mapping[str, Says]] = {
        **HttpBench.answers,
        "refuse": Says(200, told("blacklisted", error="Number is blacklisted")),
    }

    def __init__(self, channel: str) -> None:
        super().__init__()
        self.channel = channel

    def connect(self) -> Provider:
        return BulkGateProvider(self.account(), timeout=0.5)

    def account(self) -> BulkGateAccount:
        return BulkGateAccount(self.base_url, "4711", "tok:en", "gText", "Shop", "ShopViber")

    def denial(self, asked: Asked) -> Says | None:
        if asked.path not in ("/api/2.0/advanced/promotional", "/api/2.0/advanced/transactional"):
            return Says(404, {})
        document = asked.document
        if (document["application_id"], document["application_token"]) != ("4711", "tok:en"):
            return Says(401, {"type": "unknown_identity", "code": 401, "error": "Unknown identity"})
        if not document["number"].isdigit() or not set(document["channel"]) <= {"viber", "sms"}:
            return Says(400, {"type": "invalid_parameter", "code": 400, "error": "Bad number or channel"})
        return None

    def text_of(self, asked: Asked) -> str:
        document = asked.document
        viber = document["channel"].get("viber")
        return str(viber["text"] if viber else document["text"])


@pytest.fixture(params=["sms", "viber"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[BulkGateBench]:
    server = BulkGateBench(request.param)
    await server.start()
    yield server
    await server.stop()


class TestBulkGate(ProviderSuite):
    """The shared suite."""


async def sent(bench: BulkGateBench, message: Outgoing) -> Any:
    assert await bench.provider.send(message) == Accepted("sms-7")
    return bench.asked[-1].document


async def test_marketing_goes_where_opt_outs_are_honoured(bench: BulkGateBench) -> None:
    await sent(bench, outgoing(bench))
    assert bench.asked[-1].path == "/api/2.0/advanced/promotional"
    await sent(bench, replace(outgoing(bench), purpose="transactional"))
    assert bench.asked[-1].path == "/api/2.0/advanced/transactional"


@pytest.mark.parametrize("bench", ["sms"], indirect=True)
@pytest.mark.parametrize(
    ("text", "unicode"), [("Sleva 20 % {jen} dnes: 5 €", False), ("Příliš", True), ("Hi 🎁", True)]
)
async def test_the_request_for_an_sms(bench: BulkGateBench, text: str, unicode: bool) -> None:
    message = outgoing(bench, text=text)
    assert await sent(bench, message) == {
        "application_id": "4711",
        "application_token": "tok:en",
        "number": "420601000001",
        "text": text,
        "channel": {"sms": {"sender_id": "gText", "sender_id_value": "Shop", "unicode": unicode}},
        "duplicates_check": "same_text",
        "tag": message.id,
    }


@pytest.mark.parametrize("bench", ["viber"], indirect=True)
async def test_viber_then_sms_is_one_request(bench: BulkGateBench) -> None:
    extras = {"image_url": "https://shop.test/a.png", "button": "Koupit", "button_url": "https://shop.test/"}
    message = replace(
        outgoing(bench, text="Žluťoučký na Viber"),
        purpose="transactional",
        fallback=Fallback("sms", "+420601000001", "Na SMS"),
        extras=extras,
    )
    document = await sent(bench, message)
    assert list(document["channel"]) == ["viber", "sms"], "in the order in which they are tried"
    assert document["text"] == "Na SMS"
    assert document["duplicates_check"] == "on"
    assert document["channel"]["viber"] == {
        "sender": "ShopViber",
        "expiration": 3600,
        "text": "Žluťoučký na Viber",
        "image": {"url": "https://shop.test/a.png", "zoom": False},
        "button": {"caption": "Koupit", "url": "https://shop.test/"},
    }
    assert document["channel"]["sms"] == {"sender_id": "gText", "sender_id_value": "Shop", "unicode": False}
    assert len(bench.asked) == 1


@pytest.mark.parametrize("bench", ["viber"], indirect=True)
async def test_viber_alone_falls_back_to_nothing(bench: BulkGateBench) -> None:
    assert list((await sent(bench, outgoing(bench)))["channel"]) == ["viber"]


@pytest.mark.parametrize("bench", ["sms"], indirect=True)
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, told("sent"), Accepted("sms-7")),
        (200, told("scheduled"), Accepted("sms-7")),
        (202, {"data": {"status": "accepted", "message_id": "t-1"}}, Accepted("t-1")),
        (200, told("accepted", message_id=None), Accepted(None)),
        (200, told("invalid_number"), Refused("bulkgate_invalid_number")),
        (200, told("invalid_sender"), Refused("bulkgate_invalid_sender")),
        (200, told("duplicity_message"), Refused("bulkgate_duplicity_message")),
        (200, told("error", error="Neznámá chyba +420601000001"), Refused("bulkgate_error")),
        (200, {}, Unsure("reply_unreadable")),
        (200, {"data": {"response": []}}, Unsure("reply_unreadable")),
        (200, {"data": {"response": [7]}}, Unsure("reply_unreadable")),
        (200, "<html>well</html>", Unsure("reply_unreadable")),
        (400, {"type": "Invalid Phone!", "code": 400}, Refused("bulkgate_invalid_phone")),
        (403, {}, Refused("http_403")),
        (401, {"type": "unknown_identity"}, NotSent("http_401", concerns="provider")),
        (429, {}, NotSent("http_429", concerns="rate")),
        (503, {}, Unsure("http_503")),
    ],
)
async def test_what_an_answer_means(bench: BulkGateBench, status: int, body: Any, expected: SendResult) -> None:
    """A refusal of the number comes with a 200."""
    bench.answer = Says(status, body)
    assert await bench.provider.send(outgoing(bench)) == expected
