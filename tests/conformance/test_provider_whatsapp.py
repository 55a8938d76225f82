"""WhatsApp Cloud against a server of its shape: the provider port, and the template's request."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from services.messenger.providers.port import Accepted, NotSent, Provider, Refused, SendResult, Unsure
from services.messenger.providers.whatsapp import WhatsAppAccount, WhatsAppProvider
from tests.conformance.http_bench import Asked, HttpBench, Says
from tests.conformance.provider_suite import ProviderSuite, outgoing

WAMID = "wamid.HBgLNDIwNjAxMDAwMDAx"


def error(code: int) -> dict[str, Any]:
    return {"error": {"message": f"(#{code})", "type": "OAuthException", "code": code, "fbtrace_id": "A"}}


class WhatsAppBench(HttpBench):
    """Takes templates at `/v23.0/{PHONE_ID}/messages`."""

    channel = "whatsapp"
    well = Says(200, {"messaging_product": "whatsapp", "messages": [{"id": WAMID}]})
    answers: ClassVar[Mapping[str, Says]] = {
        **HttpBench.answers,
        "refuse": Says(400, error(131026)),
        "throttle": Says(400, error(130429)),
    }

    def connect(self) -> Provider:
        return WhatsAppProvider(WhatsAppAccount(f"{self.base_url}/v23.0", "15550001", "EAAtoken"), timeout=0.5)

    def denial(self, asked: Asked) -> Says | None:
        if asked.headers["authorization"] != "Bearer EAAtoken":
            return Says(401, error(190))
        if asked.path != "/v23.0/15550001/messages" or not asked.document["to"].isdigit():
            return Says(400, error(100))
        return None

    def text_of(self, asked: Asked) -> str:
        (body,) = asked.document["template"]["components"]
        return " ".join(parameter["text"] for parameter in body["parameters"])


@pytest.fixture
async def bench() -> AsyncIterator[WhatsAppBench]:
    server = WhatsAppBench()
    await server.start()
    yield server
    await server.stop()


class TestWhatsApp(ProviderSuite):
    """The shared suite."""


async def test_the_request_names_the_template_and_fills_it(bench: WhatsAppBench) -> None:
    extras = {"name": "cart_rescue", "language": "cs_CZ", "parameters": ("Jana", "kůň\n\t  osedlaný", "")}
    message = replace(outgoing(bench), extras=extras)
    assert await bench.provider.send(message) == Accepted(WAMID)
    assert bench.asked[0].document == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "420601000001",
        "type": "template",
        "template": {
            "name": "cart_rescue",
            "language": {"code": "cs_CZ"},
            "components": [
                {
                    "type": "body",
                    "parameters": [
                        {"type": "text", "text": "Jana"},
                        {"type": "text", "text": "kůň osedlaný"},
                        {"type": "text", "text": "-"},
                    ],
                }
            ],
        },
        "biz_opaque_callback_data": message.id,
    }


async def test_a_template_without_parameters_has_no_components(bench: WhatsAppBench) -> None:
    await bench.provider.send(replace(outgoing(bench), extras={"name": "hello_world", "language": "en"}))
    assert bench.asked[0].document["template"] == {"name": "hello_world", "language": {"code": "en"}}


async def test_an_answer_in_own_words_is_a_text(bench: WhatsAppBench) -> None:
    await bench.provider.send(replace(outgoing(bench, text="Máme ho."), extras={}))
    assert bench.asked[0].document["type"] == "text"
    assert bench.asked[0].document["text"] == {"body": "Máme ho.", "preview_url": False}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, error(132001), Refused("whatsapp_132001")),
        (400, error(131047), Refused("whatsapp_131047")),
        (400, error(80007), NotSent("whatsapp_80007", concerns="rate")),
        (400, error(131048), NotSent("whatsapp_131048", concerns="rate")),
        (400, error(131056), NotSent("whatsapp_131056", 60_000)),
        (401, error(190), NotSent("http_401", concerns="provider")),
        (403, error(10), NotSent("whatsapp_10", concerns="provider")),
        (403, error(200), NotSent("whatsapp_200", concerns="provider")),
        (403, error(131031), NotSent("whatsapp_131031", concerns="provider")),
        (400, error(131000), Unsure("whatsapp_131000")),
        (429, error(4), NotSent("http_429", concerns="rate")),
        (500, error(131016), Unsure("http_500")),
        (404, "no such page", Refused("http_404")),
        (400, {"error": "odd"}, Refused("http_400")),
        (200, "<html>well</html>", Unsure("reply_unreadable")),
        (200, {"messages": []}, Unsure("reply_unreadable")),
    ],
)
async def test_what_an_answer_means(bench: WhatsAppBench, status: int, body: Any, expected: SendResult) -> None:
    """The code in the body tells more than the status."""
    bench.answer = Says(status, body)
    assert await bench.provider.send(outgoing(bench)) == expected
