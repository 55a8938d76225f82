"""`headrace import` against a stand-in server: complete, resumable, honest about what was refused."""

import csv
import gzip
import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from headrace.cli.deployment import Deployment
from headrace.cli.importing.command import ROWS_REJECTED, Options, run_import
from headrace.cli.importing.run import WrongFile
from headrace.cli.importing.sender import ImportFailed
from headrace.cli.importing.source import MAX_LINE_BYTES
from headrace.importing.table import UnreadableFile
from tests.unit.cli.importing.fake_ingest import FakeIngest, serving
from tests.unit.cli.json_server import Answer
from tests.unit.importing.shop import HEADER, mapping

RECEIPTS = 3000


@pytest.fixture
def shop(tmp_path: Path) -> Options:
    """A file of 3,000 receipts of 50 customers, two lines each."""
    lines = [",".join(HEADER)]
    for n in range(RECEIPTS):
        lines += [f"R{n},{sku * 60},1,{n}.5,24.12.2025 18:30,{n % 50 + 1}.0" for sku in "AB"]
    file = tmp_path / "till.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    mapped = tmp_path / "mapping.yaml"
    mapped.write_text(json.dumps(mapping().model_dump(by_alias=True, exclude_none=True)), encoding="utf-8")
    return Options([file], mapped, patience=0.0)


def run(options: Options, fake: FakeIngest) -> tuple[int, str]:
    deployment = Deployment.of(
        {
            "HEADRACE_DATA_DIR": str(options.files[0].parent / "data"),
            "HEADRACE_INGEST_URL": fake.url,
            "HEADRACE_WRITE_KEY": "key",
        }
    )
    output = io.StringIO()
    code = run_import(options, deployment, Console(file=output, width=400))
    return code, output.getvalue()


def with_(options: Options, **changes: Any) -> Options:
    fields = {name: getattr(options, name) for name in Options.__slots__}
    return Options(**{**fields, **changes})


def test_everything_arrives_once_and_each_customer_in_order(shop: Options) -> None:
    with serving(FakeIngest()) as fake:
        code, output = run(shop, fake)
    assert code == 0
    assert f"6000 rows: {RECEIPTS} messages accepted, 0 rows rejected" in output
    assert fake.authorizations == {"Basic a2V5Og=="}
    by_customer: dict[str, list[int]] = defaultdict(list)
    for message in fake.received:
        by_customer[message["userId"]].append(int(message["messageId"].removeprefix("receipt:R")))
    assert len(fake.received) == RECEIPTS
    assert len(by_customer) == 50
    assert all(orders == sorted(orders) for orders in by_customer.values())


def test_an_interrupted_import_goes_on_and_loses_nothing(shop: Options) -> None:
    def down_after_three(number: int, batch: list[dict[str, Any]]) -> Answer | None:
        return (503, {}, {"success": False, "message": "busy"}) if number > 3 else None

    with serving(FakeIngest(down_after_three)) as fake:
        with pytest.raises(ImportFailed, match="503 busy"):
            run(shop, fake)
        before = len(fake.received)
        fake.answer = lambda number, batch: None
        code, output = run(shop, fake)
    assert code == 0
    assert 0 < before < RECEIPTS
    assert "went on after the first" in output
    assert len({m["messageId"] for m in fake.received}) == RECEIPTS
    assert len(fake.received) < before + RECEIPTS


def test_a_complete_import_leaves_no_checkpoint(shop: Options) -> None:
    with serving(FakeIngest()) as fake:
        run(shop, fake)
        _, output = run(shop, fake)
    assert "went on" not in output
    assert len(fake.received) == 2 * RECEIPTS


def test_a_busy_server_is_asked_again(shop: Options) -> None:
    def busy_once(number: int, batch: list[dict[str, Any]]) -> Answer | None:
        return (503, {"retry-after": "0"}, {"success": False, "message": "busy"}) if number == 1 else None

    with serving(FakeIngest(busy_once)) as fake:
        code, _ = run(with_(shop, patience=30.0), fake)
    assert code == 0
    assert len(fake.received) == RECEIPTS


def test_a_refused_key_ends_at_once_with_the_servers_words(shop: Options) -> None:
    def unauthorized(number: int, batch: list[dict[str, Any]]) -> Answer | None:
        return 401, {}, {"success": False, "message": "Unknown write key."}

    with serving(FakeIngest(unauthorized)) as fake, pytest.raises(ImportFailed, match="401 Unknown write key"):
        run(with_(shop, patience=30.0), fake)


def test_a_server_that_is_away_is_named(shop: Options) -> None:
    with serving(FakeIngest()) as fake:
        pass
    with pytest.raises(ImportFailed, match="is `headrace up` running"):
        run(shop, fake)


def test_what_the_server_refuses_is_reported_by_line(shop: Options) -> None:
    def refuse_r7(number: int, batch: list[dict[str, Any]]) -> Answer | None:
        places = [i for i, message in enumerate(batch) if message["messageId"] == "receipt:R7"]
        found = [{"index": i, "messageId": "receipt:R7", "code": "event_too_large"} for i in places]
        return 200, {}, {"success": True, "rejected": found}

    with serving(FakeIngest(refuse_r7)) as fake:
        code, output = run(shop, fake)
    assert code == ROWS_REJECTED
    assert "2999 messages accepted, 2 rows rejected" in output
    with (shop.files[0].parent / "till.csv.rejected.csv").open(encoding="utf-8") as report:
        assert list(csv.reader(report))[1:] == [
            [str(shop.files[0]), "16", "", "the server: event_too_large", "receipt:R7"]
        ]


def test_rows_that_cannot_be_read_are_reported_and_the_rest_arrives(shop: Options) -> None:
    with shop.files[0].open("a", encoding="utf-8") as file:
        file.write("\nbad,A,1,9;5,24.12.2025 18:30,1\n")
    report = shop.files[0].parent / "bad.csv"
    with serving(FakeIngest()) as fake:
        code, output = run(with_(shop, rejected=report), fake)
    assert code == ROWS_REJECTED
    assert len(fake.received) == RECEIPTS
    assert f"the first: line {2 * RECEIPTS + 2}, Price:" in output
    assert (
        report.read_text(encoding="utf-8").splitlines()[1].startswith(f"{shop.files[0]},{2 * RECEIPTS + 2},Price,")
    )


def test_a_dry_run_sends_nothing_and_needs_no_server(shop: Options) -> None:
    code, output = run(with_(shop, dry_run=True), FakeIngest(url="http://127.0.0.1:9"))
    assert code == 0
    assert f"{RECEIPTS} messages ready, nothing was sent" in output
    first = [json.loads(line)["messageId"] for line in output.splitlines() if line.startswith("{")]
    assert first == ["receipt:R0", "receipt:R1", "receipt:R2"]


def test_gzip_is_recognised_by_content(shop: Options) -> None:
    shop.files[0].write_bytes(gzip.compress(shop.files[0].read_bytes()))
    assert run(with_(shop, dry_run=True), FakeIngest(url="http://127.0.0.1:9"))[0] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no header line"),
        (gzip.compress(",".join(HEADER).encode() + b"\nR1,A,1,1,x,1" * 90_000)[:-30], "damaged gzip file"),
        (",".join(HEADER).encode() + b'\nR1,"open', "line 2: unexpected end of data"),
        (",".join(HEADER).encode() + b"\nR1,\xff,1,1,x,1", "is not utf-8-sig"),
    ],
)
def test_an_unreadable_file_is_refused_before_anything_is_sent(
    shop: Options, content: bytes, message: str
) -> None:
    shop.files[0].write_bytes(content)
    with serving(FakeIngest()) as fake, pytest.raises(UnreadableFile, match=message):
        run(shop, fake)
    assert fake.received == []


def test_a_missing_file_is_named(shop: Options) -> None:
    with pytest.raises(UnreadableFile, match="No such file"):
        run(with_(shop, files=[shop.files[0].parent / "no.csv"]), FakeIngest(url="http://127.0.0.1:9"))


def test_ndjson_goes_as_it_is_and_lines_without_id_get_the_same_id_again(shop: Options) -> None:
    lines = [
        b'{"type":"track","event":"E","userId":"u1","messageId":"m1","properties":{"total":0.10}}',
        b"",
        b'{"type":"track","event":"E","userId":"u1"}',
        b'{"type":"track","event":"E","userId":"u1"}',
        b"[1]",
    ]
    shop.files[0].write_bytes(b"\n".join(lines))
    with serving(FakeIngest()) as fake:
        codes = [run(with_(shop, mapping=None), fake)[0] for _ in range(2)]
    assert codes == [ROWS_REJECTED, ROWS_REJECTED]
    ids = [message["messageId"] for message in fake.received]
    assert len(ids) == 6
    assert len(set(ids)) == 3
    assert "m1" in ids


def test_a_csv_without_mapping_says_what_is_missing(shop: Options) -> None:
    with pytest.raises(WrongFile, match="--mapping"):
        run(with_(shop, mapping=None), FakeIngest(url="http://127.0.0.1:9"))


def test_ndjson_in_another_order_of_lines_and_fields_is_the_same(shop: Options) -> None:
    lines = [
        {"type": "track", "event": "E", "userId": "u1", "properties": {"a": 1, "b": [True]}},
        {"type": "track", "event": "E", "userId": "u1", "properties": {"a": 2}},
        {"type": "track", "event": "E", "userId": "u1", "properties": {"a": 2}},
    ]
    turned = [dict(reversed(line.items())) for line in reversed(lines)]
    ids = []
    for given in (lines, turned):
        shop.files[0].write_text("\ufeff" + "\n".join(map(json.dumps, given)), encoding="utf-8")
        with serving(FakeIngest()) as fake:
            assert run(with_(shop, mapping=None), fake)[0] == 0
        ids.append(sorted(message["messageId"] for message in fake.received))
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


def test_a_line_that_never_ends_is_rejected_without_being_held(shop: Options) -> None:
    huge = b'{"type":"track","x":"' + b"x" * (3 * MAX_LINE_BYTES) + b'"}'
    shop.files[0].write_bytes(b'{"type":"track","event":"E","userId":"u1"}\n' + huge + b"\n[1]\n")
    with serving(FakeIngest()) as fake:
        code, output = run(with_(shop, mapping=None), fake)
    assert code == ROWS_REJECTED
    assert "3 rows: 1 messages accepted, 2 rows rejected" in output
    assert f"line 2: has more than {MAX_LINE_BYTES} bytes" in output


def test_several_files_are_read_as_one_and_a_receipt_may_cross_their_border(shop: Options) -> None:
    lines = shop.files[0].read_text(encoding="utf-8").splitlines()
    parts = [shop.files[0].with_name(f"part-{number}.csv") for number in (1, 2)]
    order = [5, 4, 3, 2, 1, 0]  # the second was exported with its columns turned round
    parts[0].write_text("\n".join(lines[:1002]), encoding="utf-8")
    turned = [
        ",".join(line.split(",")[place] for place in order) for line in [lines[0], *lines[1002:], "x,A,1,1,,1"]
    ]
    parts[1].write_bytes(gzip.compress("\n".join(turned).encode()))
    with serving(FakeIngest()) as whole, serving(FakeIngest()) as split:
        run(shop, whole)
        code, output = run(with_(shop, files=parts), split)
    assert code == ROWS_REJECTED
    assert f"the first: {parts[1]}, line {2 * RECEIPTS - 1001 + 2}, When:" in output
    by_id = [{message["messageId"]: message for message in fake.received} for fake in (whole, split)]
    assert by_id[0] == by_id[1]


def test_files_of_other_columns_are_refused(shop: Options) -> None:
    other = shop.files[0].with_name("other.csv")
    other.write_text("A,B\n1,2\n", encoding="utf-8")
    with pytest.raises(UnreadableFile, match=r"other\.csv has other columns"):
        run(with_(shop, files=[*shop.files, other]), FakeIngest(url="http://127.0.0.1:9"))


def test_the_report_is_no_formula(shop: Options) -> None:
    assert shop.mapping is not None
    shop.mapping.write_text(shop.mapping.read_text().replace("receipt:{Receipt}", "{Receipt}"))

    def refuse(number: int, batch: list[dict[str, Any]]) -> Answer | None:
        places = [i for i, message in enumerate(batch) if message["messageId"].startswith("=")]
        return 200, {}, {"rejected": [{"index": i, "code": "invalid_id"} for i in places]}

    shop.files[0].write_text("\n".join([",".join(HEADER), "=R0,A,1,1,24.12.2025 18:30,1"]), encoding="utf-8")
    with serving(FakeIngest(refuse)) as fake:
        assert run(shop, fake)[0] == ROWS_REJECTED
    report = shop.files[0].with_name("till.csv.rejected.csv").read_text(encoding="utf-8")
    assert report.splitlines()[1].endswith(",the server: invalid_id,'=R0")
