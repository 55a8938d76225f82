"""Which numbers the quintiles find in an event's JSON: those that conditions find, whatever else it holds."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.e2e.rfm_rig import computed
from tests.e2e.segmenter_rig import T0, Rig, segmenter_rig


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


ODD: dict[str, tuple[str, str | None]] = {
    "U+0000 elsewhere": ('{"total": 7, "note": "a\\u0000b"}', "7"),
    "half of a surrogate pair elsewhere": ('{"total": 7, "note": "\\ud800"}', "7"),
    "a number beyond numeric elsewhere": ('{"total": 7, "big": -1.5e-99999999}', "7"),
    "a number beyond numeric": ('{"total": 1e999999}', None),
    "400 digits": ('{"total": ' + "9" * 400 + "}", "9" * 400),
    "401 digits": ('{"total": ' + "9" * 401 + "}", None),
    "hardly more than nothing": ('{"total": 1e-401}', None),
    "an exponent": ('{"total": 1.5e3}', "1500"),
    "as few digits as needed": ('{"total": 7.500}', "7.5"),
    "text": ('{"total": "7"}', None),
    "true": ('{"total": true}', None),
    "null": ('{"total": null}', None),
    "missing": ("{}", None),
    "a list where none is asked for": ('{"total": [7, 8]}', None),
    "a list of what it is in": ('[{"total": 7}]', None),
    "no object": ('"total"', None),
}


async def test_an_odd_document_counts_as_an_event_and_adds_what_can_be_read(rig: Rig) -> None:
    for case, (properties, _) in ODD.items():
        await _as_sent(rig, "p1", case, properties)
        for _ in range(2):
            await _as_sent(rig, "p2", case, ODD["400 digits"][0])
    for case, (_, amount) in ODD.items():
        found = await computed(rig, event=case)
        assert (found.customers, found.monetary) == (2, (amount or "0",) * 2), case


async def _as_sent(rig: Rig, who: str, name: str, properties: str) -> None:
    """The sender's bytes in an event's row, as the profile service keeps them."""
    payload = (
        f'{{"kind":"event","profile_id":"{who}","source":"shop","message_id":"m","type":"track","ts":{T0},'
        f'"event":"{name}","properties":{properties}}}'
    )
    await rig.pool.execute(
        """INSERT INTO profiles.timeline (q, seq, epoch, time, low, profile_id, kind, event, ts, payload)
           SELECT 0, count(*) + 1, 1, $1, $1, $2, 'event', $3, $1, $4 FROM profiles.timeline""",
        T0, who, name, payload,
    )  # fmt: skip


DOCUMENT = {
    "properties": {
        "products": [{"price": 1}, {"price": 20, "tags": [{"n": 300}, 4]}, {"other": 5}, [{"price": 60}], 7],
        "lists": [[1, 2], [3]],
        'odd " $key': {"\N{FIRE}": 8},
        "deep": {"a": [{"b": [{"c": 1}, {"c": 2}]}, {"b": {"c": 4}}, {"b": [{"c": 8}]}]},
    },
    "context": {"page": {"height": 9}},
}


TOTALS = {
    "properties.products[].price": "21",
    "properties.products[].tags[].n": "300",
    "properties.products[].tags[]": "4",
    "properties.products[]": "7",
    "properties.products.price": "0",
    "properties.lists[]": "0",
    'properties.odd " $key.\N{FIRE}': "8",
    "properties.deep.a[].b[].c": "11",
    "properties.deep[].a": "0",
    "properties": "0",
    "context.page.height": "9",
    "ts": "0",
}


async def test_a_path_goes_where_conditions_go(rig: Rig) -> None:
    for who in ("p1", "p2"):
        await rig.event(who, lost=True, properties=DOCUMENT["properties"], context=_raw(DOCUMENT["context"]))
    for of, total in TOTALS.items():
        assert (await computed(rig, of=of)).monetary == (total, total), of


def _raw(document: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(document))
