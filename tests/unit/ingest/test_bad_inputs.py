"""The catalogue of bad inputs: each number, what is sent, what is answered, and what lands in which topic.

Numbers that another service or the HTTP server decides are named in ELSEWHERE.
"""

import json

import pytest

from tests.bad_inputs import CASES, GOOD, Case, nested
from tests.unit.ingest.service import Ingest

HTTP_SERVER = set(range(19, 24)) | {25, 26, 27}  # tests/e2e/test_ingest_http.py
STORES = {71, 76, 77, 79, 93, 108, *range(96, 106), *range(109, 113)}
SCHEMAS = {39, 40, 41, 42, 43, 44, 45, 107}  # properties are passed through; conditions compare them by type
NORMALISATION = {*range(52, 62), 68, 69, 70, 72, 73, 85, 86, 88}  # e-mail, phone, tenants; instants: test_clock.py
ELSEWHERE = HTTP_SERVER | STORES | SCHEMAS | NORMALISATION


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number:03d} {case.what}")
async def test_catalogue(ingest: Ingest, case: Case) -> None:
    response = await ingest.post(case.path, case.body, key=case.key, **case.headers)
    answer = response.json()
    assert response.status_code == case.status
    landed = [letter.reason for letter in ingest.dead_letters()]
    if case.status != 200:
        assert (answer["success"], answer["code"]) == (False, case.code)
        assert answer["message"]
        assert (ingest.events(), landed) == ([], [])
    elif case.code is None:
        assert answer == {"success": True}
        assert (len(ingest.events()), landed) == (1, [])
    else:
        assert [row["code"] for row in answer["rejected"]] == [case.code]
        assert (ingest.events(), landed) == ([], [case.code])


async def test_one_bad_event_of_a_hundred(ingest: Ingest) -> None:
    """Number 31: the other 99 are accepted, in order, and the bad one is kept whole."""
    items = [{**GOOD, "messageId": f"m{n}"} for n in range(100)]
    del items[40]["userId"]
    response = await ingest.post("/v1/batch", {"batch": items})
    assert response.json() == {
        "success": True,
        "accepted": 99,
        "rejected": [{"index": 40, "messageId": "m40", "code": "no_identifier"}],
    }
    assert [event.message_id for event in ingest.events()] == [f"m{n}" for n in range(100) if n != 40]
    (letter,) = ingest.dead_letters()
    assert json.loads(letter.raw) == items[40]
    assert (letter.message_id, letter.origin_topic, letter.source) == ("m40", "http", "default")


@pytest.mark.parametrize("bad", [b'{"type":"track","userId":"u","event":"\xff"}', b'{"a":1e400}', nested(30)])
async def test_an_unreadable_event_does_not_sink_its_batch(ingest: Ingest, bad: bytes) -> None:
    good = json.dumps(GOOD).encode()
    response = await ingest.post("/v1/batch", b'{"batch":[' + good + b"," + bad + b"," + good + b"]}")
    assert response.json()["accepted"] == 2
    (letter,) = ingest.dead_letters()
    assert letter.raw == bad


async def test_a_batch_sent_again_gives_the_same_dead_letter(ingest: Ingest) -> None:
    for _ in range(2):
        await ingest.post("/v1/batch", {"batch": [{"type": "track", "event": "E"}]})
    first, second = ingest.dead_letters()
    assert first.id == second.id


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_other_methods_are_refused(ingest: Ingest, method: str) -> None:
    """Number 28."""
    response = await ingest.client.request(method, "/v1/track")
    assert (response.status_code, response.headers["allow"]) == (405, "POST, OPTIONS")


def test_every_number_of_the_catalogue_is_decided_somewhere() -> None:
    ours = {case.number for case in CASES} - {0} | {28, 31, 51}
    assert ours | ELSEWHERE == set(range(1, 113))
    assert not ours & ELSEWHERE
