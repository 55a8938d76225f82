"""Receipts and answers on the real ledger and log: each counts once, come it twice, late or out of order."""

import itertools
from random import Random
from urllib.parse import urlencode

import httpx
import msgspec
import pytest

from headrace.contracts.ids import send_id
from headrace.contracts.policy import parse_policy
from headrace.contracts.profile_event import ErasureRow
from headrace.contracts.provider_callback import ProviderCallback
from headrace.contracts.topics import PROVIDER_CALLBACKS
from headrace.log.port import NewRecord
from services.messenger.providers.port import Unsure
from tests.http.documented import DocumentedTransport
from tests.unit.messenger.rig import MAIL, TOKEN, Rig, ScriptedProvider, by_outcome, campaign, eventually
from tests.unit.messenger.test_journeys import Town, settle, town  # noqa: F401

MESSAGE = send_id("welcome", "e1", "0")
NUMBER = "+420601000001"
_numbers = itertools.count()


def scripted(rig: Rig) -> ScriptedProvider:
    assert isinstance(rig.provider, ScriptedProvider)
    return rig.provider


async def calls(town: Town, provider: str, body: str, query: str = "") -> None:  # noqa: F811
    """A verified callback is on the log, and applied."""
    rig = town.rig
    value = ProviderCallback(
        id=f"c{next(_numbers)}",
        provider=provider,
        received_at=rig.clock(),
        content_type="",
        body=body,
        query=query,
    )
    topic = rig.topic_prefix + PROVIDER_CALLBACKS.name
    await rig.log.append(topic, 0, [NewRecord(b"k", msgspec.json.encode(value), ())])
    end = (await rig.log.bounds(topic, 0)).end

    async def applied() -> bool:
        query_ = "SELECT next_offset FROM input_position WHERE topic = $1 AND partition = 0"
        return int(await rig.pool.fetchval(query_, topic) or 0) >= end

    await eventually(applied)
    await settle(rig, town.messenger)


async def twilio(town: Town, status: str, code: str = "") -> None:  # noqa: F811
    form = urlencode({"MessageSid": "SM1", "MessageStatus": status, "ErrorCode": code})
    await calls(town, "twilio", form, f"m={MESSAGE}")


async def writes(town: Town, text: str, sid: str = "") -> None:  # noqa: F811
    form = {"MessageSid": sid or f"SM-in-{next(_numbers)}", "From": NUMBER, "To": "+420777000000", "Body": text}
    await calls(town, "twilio", urlencode(form))


async def fate(rig: Rig) -> tuple[str, str | None]:
    row = await rig.pool.fetchrow("SELECT status, reason FROM message WHERE id = $1", MESSAGE)
    assert row is not None
    return row["status"], row["reason"]


async def outcomes(rig: Rig, count: int) -> list[tuple[str, str | None]]:
    async def there() -> bool:
        return len(await rig.published()) >= count

    await eventually(there)
    return by_outcome(await rig.published())


@pytest.mark.parametrize("seed", range(4))
async def test_any_order_and_number_of_receipts_ends_the_same(town: Town, seed: int) -> None:  # noqa: F811
    await town.enters("p1", "e1")
    random = Random(seed)
    receipts = [status for status in ("sent", "delivered", "read") for _ in range(random.randint(1, 3))]
    random.shuffle(receipts)
    for status in receipts:
        await twilio(town, status)
    assert await fate(town.rig) == ("delivered", None)
    assert await outcomes(town.rig, 3) == [("accepted", None), ("delivered", None), ("opened", None)]


@pytest.mark.parametrize(
    ("status", "code", "end"), [("delivered", "", "delivered"), ("failed", "30005", "failed")]
)
async def test_a_receipt_resolves_what_was_unknown(town: Town, status: str, code: str, end: str) -> None:  # noqa: F811
    scripted(town.rig).script = [Unsure("timeout")]
    await town.enters("p1", "e1")
    assert (await fate(town.rig))[0] == "unknown"
    await twilio(town, status, code)
    assert (await fate(town.rig))[0] == end
    assert len(scripted(town.rig).sent) == 1, "nothing is sent again"


async def test_what_could_not_be_delivered_goes_by_the_next_channel(town: Town) -> None:  # noqa: F811
    both = {"send": {"channels": ["sms", "email"], "templates": {"sms": "hello", "email": "hello-mail"}}}
    await town.rig.define(MAIL, campaign(steps=[both]))
    await town.enters("p1", "e1")
    await twilio(town, "undelivered", "30003")
    await twilio(town, "undelivered", "30003")
    assert [message.channel for message in scripted(town.rig).sent] == ["sms", "email"]


async def test_a_number_that_is_none_is_not_written_to_again(town: Town) -> None:  # noqa: F811
    await town.enters("p1", "e1")
    await twilio(town, "failed", "30006")
    await town.enters("p1", "e2")
    rows = await town.rig.pool.fetch("SELECT status, reason FROM message ORDER BY entry_id")
    assert [tuple(row) for row in rows] == [("failed", "twilio_30006"), ("skipped", "suppressed")]


async def test_stop_holds_at_once_and_start_lets_again(town: Town) -> None:  # noqa: F811
    rig = town.rig
    await rig.pool.execute("INSERT INTO profiles.identifier_v1 VALUES ('phone', $1, 'p1')", NUMBER)
    await town.enters("p1", "e1")
    rig.clock.now += 1_000
    await writes(town, "Stop.", "SM-stop")
    await writes(town, "Stop.", "SM-stop")
    await town.enters("p1", "e2")
    rig.clock.now += 1_000
    await writes(town, "START")
    await town.enters("p1", "e3")
    rows = await rig.pool.fetch("SELECT status, reason FROM message ORDER BY entry_id")
    assert [tuple(row) for row in rows] == [("accepted", None), ("skipped", "suppressed"), ("accepted", None)]
    updates = [u for u in await rig.updates() if u.event == "SMS Received"]
    assert [(u.profile_id, u.consents, u.properties["keyword"]) for u in updates] == [
        ("p1", {"sms": "withdrawn"}, "stop"),
        ("p1", {"sms": "granted"}, "start"),
    ]


async def test_help_is_answered_once(town: Town) -> None:  # noqa: F811
    await town.rig.define_policy(parse_policy({"keywords": {"help_text": "Call {{ us }}: +420 777 000 000"}}))
    await town.rig.pool.execute("INSERT INTO profiles.identifier_v1 VALUES ('phone', $1, 'p1')", NUMBER)
    await writes(town, "help", "SM-help")
    await writes(town, "help", "SM-help")
    assert town.texts() == ["Call {{ us }}: +420 777 000 000"], "what is written by hand is no template"


async def test_another_text_is_kept_and_can_be_answered(town: Town) -> None:  # noqa: F811
    rig = town.rig
    await town.enters("p1", "e1")
    await writes(town, "Do you have it in blue?")
    await eventually(lambda: told_of(rig, "SMS Received"))
    transport = DocumentedTransport("messenger", town.messenger.app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://m", headers=headers) as api:
        (item,) = (await api.get("/v1/inbound?profile_id=p1")).json()["items"]
        assert (item["text"], item["keyword"], item["answered_at"]) == ("Do you have it in blue?", None, None)
        path = f"/v1/inbound/{item['id']}/reply"
        assert (await api.post(path, json={"text": "Yes"})).status_code in (400, 422)
        for _ in range(2):
            done = await api.post(path, json={"text": "Yes, we do"}, headers={"Idempotency-Key": "k1"})
            assert done.status_code == 200
        await settle(rig, town.messenger)
        assert town.texts() == ["Hi Jana", "Yes, we do"]
        unknown = await api.post("/v1/inbound/n0/reply", json={"text": "x"}, headers={"Idempotency-Key": "k"})
        assert unknown.status_code == 404
        (row,) = (await api.get("/v1/messages?campaign_id=direct")).json()["items"]
        assert (row["status"], row["channel"]) == ("accepted", "sms")


async def told_of(rig: Rig, event: str) -> bool:
    return any(update.event == event for update in await rig.updates())


async def test_who_is_not_known_is_listed_and_an_erasure_forgets(town: Town) -> None:  # noqa: F811
    rig = town.rig
    await writes(town, "who am I")
    assert await rig.pool.fetchval("SELECT profile_id FROM inbound") is None
    await rig.pool.execute("INSERT INTO profiles.identifier_v1 VALUES ('phone', $1, 'p1')", NUMBER)
    await writes(town, "it is me")
    await rig.pool.execute("DELETE FROM profiles.profile_v1")
    await town.row(ErasureRow(seq=0, epoch=1, time=0, low=0, profile_id="p1"))
    rows = await rig.pool.fetch("SELECT profile_id, address, text FROM inbound ORDER BY text NULLS LAST")
    assert [tuple(row) for row in rows] == [(None, NUMBER, "who am I"), (None, None, None)]


async def test_what_cannot_be_read_is_set_aside(town: Town) -> None:  # noqa: F811
    before = await town.rig.dead_letters(0)
    await calls(town, "twilio", "nonsense")
    await calls(town, "nobody", "x")
    assert await town.rig.dead_letters(0) == before + 2
    await calls(town, "twilio", urlencode({"MessageSid": "SM9", "MessageStatus": "sent"}), "m=s-unknown")
    assert await town.rig.dead_letters(0) == before + 2, "a message that is not ours is counted, and that is all"


async def test_characters_that_are_none_of_a_text_stop_no_partition(town: Town) -> None:  # noqa: F811
    before = await town.rig.dead_letters(0)
    await calls(town, "twilio", urlencode({"MessageSid": "S\0M", "MessageStatus": "sent"}))
    await calls(town, "bulkgate", '[{"status": "1", "smsID": "b\\ud800"}]')
    assert await town.rig.dead_letters(0) == before + 2
    await calls(
        town,
        "bulkgate",
        '[{"status": "10", "smsID": "b1", "from": "420601999999", "message": "a\\u0000b"}]',
    )
    assert await town.rig.dead_letters(0) == before + 2
    assert await town.rig.pool.fetchval("SELECT text FROM inbound WHERE text LIKE 'a%'") == "ab"
