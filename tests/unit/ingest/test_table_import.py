"""`POST /v1/import` takes a CSV with its mapping: by name, or in a form beside the file."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.importing.run import open_source
from headrace.cli.shipped import example
from headrace.importing.outcome import Outgoing
from services.ingest import table_import
from tests.unit.ingest.service import SERVER_KEY, WEB_KEY, Ingest, basic, start_ingest

CSV = {"content_type": "text/csv"}
FIELD = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
MAPPING = """
kind: import
group_by: Receipt
message:
  event: Order Completed
  message_id: "pos:{Receipt}"
  timestamp: {column: When}
  user_id: "{Customer}"
  properties: {total: {sum: [Price]}}
items: {fields: {sku: "{Sku}"}}
"""
TABLE = """Receipt,When,Customer,Sku,Price
R1,2025-01-02 10:00,u1,A,1.50
R2,2025-01-02 11:00,u2,A,2
R1,2025-01-02 10:00,u1,B,2.25
R3,yesterday,u3,A,1
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "till.yaml").write_text(MAPPING, encoding="utf-8")
    return str(tmp_path)


async def upload(ingest: Ingest, **files: bytes | str) -> httpx.Response:
    form = {
        name: (name, content.encode() if isinstance(content, str) else content) for name, content in files.items()
    }
    return await ingest.client.post("/v1/import", files=form, headers=basic(SERVER_KEY))


def landed(ingest: Ingest) -> dict[str, dict[str, Any]]:
    return {event.message_id: json.loads(bytes(event.properties)) for event in ingest.events()}


async def test_a_csv_by_the_name_of_its_mapping(folder: str) -> None:
    ingest = await start_ingest(HEADRACE_MAPPINGS=folder)
    answer = await ingest.post("/v1/import?mapping=till", TABLE.encode(), **CSV)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "success": True,
        "rows": 4,
        "accepted": 2,
        "rejected_rows": 1,
        "rejected": [
            {
                "line": 5,
                "column": "When",
                "code": "unreadable_row",
                "message": "'yesterday' is no time of the format iso",
            }
        ],
    }
    assert landed(ingest) == {
        "pos:R1": {"total": 3.75, "products": [{"sku": "A"}, {"sku": "B"}]},
        "pos:R2": {"total": 2, "products": [{"sku": "A"}]},
    }
    assert all(event.imported for event in ingest.events())
    assert 'headrace_events_rejected_total{reason="unreadable_row",source="default"} 1.0' in (
        (await ingest.client.get("/metrics")).text
    )


@pytest.mark.parametrize("pack", [lambda content: content, gzip.compress])
async def test_a_form_brings_its_mapping(pack: Any) -> None:
    ingest = await start_ingest()
    answer = await upload(ingest, mapping=MAPPING, file=pack(TABLE.encode()))
    assert (answer.status_code, answer.json()["accepted"]) == (200, 2), answer.text
    assert set(landed(ingest)) == {"pos:R1", "pos:R2"}


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("identity", gzip.compress)])
async def test_gzip_by_its_header_or_as_the_file_is(folder: str, encoding: str, pack: Any) -> None:
    ingest = await start_ingest(HEADRACE_MAPPINGS=folder)
    answer = await ingest.post(
        "/v1/import?mapping=till", pack(TABLE.encode()), content_encoding=encoding, content_type="application/gzip"
    )
    assert answer.json()["accepted"] == 2


async def test_a_gzip_file_of_events_needs_no_header() -> None:
    ingest = await start_ingest()
    body = gzip.compress(b'{"type":"track","event":"E","userId":"u1","messageId":"m1"}\n')
    assert (await ingest.post("/v1/import", body)).json() == {"success": True}
    assert set(landed(ingest)) == {"m1"}


@pytest.mark.parametrize("name", ["till-receipts", "crm-contacts", "loyalty-export"])
async def test_the_examples_land_as_the_command_sends_them(name: str) -> None:
    table, mapping = (example(f"imports/{name}.{kind}") for kind in ("csv", "yaml"))
    ingest = await start_ingest()
    answer = await upload(ingest, mapping=mapping.read_bytes(), file=table.read_bytes())
    assert answer.json()["rejected"] == [], answer.text
    sent = [one for one in open_source([table], mapping).outcomes if isinstance(one, Outgoing)]
    assert {event.message_id for event in ingest.events()} == {one.message_id for one in sent}


async def test_what_an_event_may_not_be_is_a_dead_letter_told_by_its_line(folder: str) -> None:
    ingest = await start_ingest(HEADRACE_MAPPINGS=folder)
    table = f"{TABLE.splitlines()[0]}\nR1,2025-01-02 10:00,{'u' * 300},A,1\n\nR2,2025-01-02 10:00,u2,A,1\n"
    answer = (await ingest.post("/v1/import?mapping=till", table.encode(), **CSV)).json()
    assert (answer["accepted"], answer["rejected_rows"]) == (1, 1)
    assert answer["rejected"][0] | {"message": ""} == {
        **{"line": 2, "code": "id_too_long", "messageId": "pos:R1", "message": ""}
    }
    assert [letter.message_id for letter in ingest.dead_letters()] == ["pos:R1"]


async def test_many_rows_are_taken_in_slices_and_the_list_of_rejected_is_bounded(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_import, "SLICE", 7)
    monkeypatch.setattr(table_import, "MAX_LISTED", 5)
    ingest = await start_ingest(HEADRACE_MAPPINGS=folder)
    good = [f"R{n},2025-01-02 10:00,u{n},A,1" for n in range(100)]
    bad = [f"B{n},never,u{n},A,1" for n in range(20)]
    table = "\n".join([TABLE.splitlines()[0], *good[:50], *bad, *good[50:]]).encode()
    answer = (await ingest.post("/v1/import?mapping=till", table, **CSV)).json()
    assert (answer["rows"], answer["accepted"], answer["rejected_rows"]) == (120, 100, 20)
    assert [item["line"] for item in answer["rejected"]] == [52, 53, 54, 55, 56]
    assert len(landed(ingest)) == 100


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "message"),
    [
        ("/v1/import", TABLE, 400, "missing_mapping", "mapping=NAME"),
        ("/v1/import?mapping=til", TABLE, 400, "unknown_mapping", "did you mean till?"),
        ("/v1/import?mapping=till", "", 400, "unreadable_table", "no header line"),
        ("/v1/import?mapping=till", "A,B\n1,2\n", 400, "invalid_mapping", "Receipt: is no column of the file"),
        ("/v1/import?mapping=till", TABLE + '"open', 400, "unreadable_table", "line 6"),
        ("/v1/import?mapping=till", TABLE.encode("utf-16"), 400, "unreadable_table", "looks like UTF-16"),
        ("/v1/import?mapping=till", gzip.compress(TABLE.encode())[:-9], 400, "invalid_gzip", "truncated"),
        ("/v1/import?mapping=till", gzip.compress(b"x" * 40_000_000), 413, "body_too_large", "Send at most"),
    ],
)
async def test_a_table_that_cannot_be_read_is_refused_whole(
    folder: str, path: str, body: str | bytes, status: int, code: str, message: str
) -> None:
    ingest = await start_ingest(HEADRACE_MAPPINGS=folder)
    answer = await ingest.post(path, body.encode() if isinstance(body, str) else body, **CSV)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert message in answer.json()["message"]
    assert ingest.events() == []
    assert ingest.app.held_bytes == 0


@pytest.mark.parametrize(
    ("files", "code", "message"),
    [
        ({"mapping": MAPPING}, "missing_file", "part `file`"),
        ({"file": TABLE}, "missing_mapping", "mapping=NAME"),
        ({"file": TABLE, "mapping": "kind: import"}, "invalid_mapping", "message: is missing"),
        ({"file": TABLE, "mapping": "a: ["}, "invalid_mapping", "check indentation"),
        ({"file": TABLE, "mapping": b"\xff"}, "invalid_mapping", "UTF-8"),
        ({"file": TABLE, "mapping": "x" * 300_000}, "mapping_too_large", "at most"),
    ],
)
async def test_a_form_that_lacks_something_says_what(files: dict[str, Any], code: str, message: str) -> None:
    answer = await upload(await start_ingest(), **files)
    assert answer.json()["code"] == code
    assert message in answer.json()["message"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: a/b\r\n\r\n1\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1' * 20 + b"\r\n--x--",
        ),
        ("multipart/form-data; boundary=x", b""),
    ],
)
async def test_a_broken_form_is_refused(content_type: str, body: bytes) -> None:
    answer = await (await start_ingest()).post("/v1/import", body, content_type=content_type)
    assert answer.status_code == 400


async def test_the_key_comes_in_a_header_or_the_query(folder: str) -> None:
    ingest = await start_ingest(HEADRACE_MAPPINGS=folder)
    refused = await ingest.client.post("/v1/import?mapping=till", content=TABLE.encode())
    assert (refused.status_code, refused.json()["code"]) == (401, "missing_write_key")
    taken = await ingest.client.post(f"/v1/import?mapping=till&writeKey={WEB_KEY}", content=TABLE.encode())
    assert taken.json()["accepted"] == 2


async def test_a_wrong_mapping_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "till.yaml").write_text("kind: import\nmesage: {}", encoding="utf-8")
    with pytest.raises(Exception, match=r"HEADRACE_MAPPINGS.*(?s:.*)till\.yaml mesage: is no field here"):
        await start_ingest(HEADRACE_MAPPINGS=str(tmp_path))


PIECES = (b'"', b",", b"\r\n", b"R1", b"\0", b"\xff", b"2025", b"\x1f\x8b", b"--")


@given(st.binary(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))
def test_whatever_is_sent_has_an_answer(body: bytes) -> None:
    async def send() -> None:
        ingest = await start_ingest()
        for file in (body, b"Receipt,When,Customer,Sku,Price\n" + body):
            answer = await upload(ingest, mapping=MAPPING, file=file)
            assert answer.status_code in {200, 400}, (file, answer.text)
        boundary = "multipart/form-data; boundary=R1"
        assert (await ingest.post("/v1/import", body, content_type=boundary)).status_code < 500
        assert ingest.app.held_bytes == 0

    asyncio.run(send())
