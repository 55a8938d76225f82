"""The outbox in files keeps the provider port, and what is special about it."""

import asyncio
import email
import email.policy
import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from services.messenger.providers.file import EmailFolder, LineFile
from services.messenger.providers.port import Accepted, NotSent, Provider
from tests.conformance.provider_suite import Bench, ProviderSuite, outgoing


class FileBench:
    """Both kinds of files under one folder; a folder that turned into a file is what cannot be reached."""

    def __init__(self, folder: Path, *, sms: bool) -> None:
        self.sms = sms
        self.channel = "sms" if sms else "email"
        self.to = "+420601000001" if sms else "jana@shop.test"
        self.outbox = folder / "outbox"
        self.provider: Provider = LineFile(self.outbox / "sms.jsonl") if sms else EmailFolder(self.outbox)

    async def received(self) -> list[str]:
        if not self.outbox.is_dir():
            return []
        if self.sms:
            path = self.outbox / "sms.jsonl"
            return [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()]
        return [plain_text(path.read_bytes()) for path in sorted(self.outbox.glob("*.eml"))]

    def misbehave(self, how: str) -> None:
        if how not in ("throttle", "fail"):
            raise NotImplementedError("a local file neither refuses a message nor loses a reply")
        self.outbox.write_bytes(b"")

    def behave(self) -> None:
        self.outbox.unlink()

    async def go_away(self) -> None:
        self.outbox.write_bytes(b"")


def plain_text(mail: bytes) -> str:
    """The text/plain part, line ends as written."""
    part = email.message_from_bytes(mail, policy=email.policy.default).get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n").removesuffix("\n")


no_reply = pytest.mark.xfail(
    strict=True, raises=NotImplementedError, reason="a local file neither refuses a message nor loses a reply"
)


class TestFile(ProviderSuite):
    @pytest.fixture(params=["sms", "email"])
    def bench(self, tmp_path: Path, request: pytest.FixtureRequest) -> FileBench:
        return FileBench(tmp_path, sms=request.param == "sms")

    @no_reply
    async def test_a_refusal_is_final(self, bench: Bench) -> None:
        await super().test_a_refusal_is_final(bench)

    @no_reply
    async def test_a_reply_that_is_none_leaves_the_fate_unknown(self, bench: Bench) -> None:
        await super().test_a_reply_that_is_none_leaves_the_fate_unknown(bench)

    @no_reply
    @pytest.mark.parametrize("how", ["drop", "hang"])
    async def test_a_lost_reply_leaves_the_fate_unknown(self, bench: Bench, how: str) -> None:
        await super().test_a_lost_reply_leaves_the_fate_unknown(bench, how)


async def test_a_new_process_recognises_the_lines_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "sms.jsonl"
    bench = FileBench(tmp_path, sms=True)
    for _ in range(2):
        assert isinstance(await LineFile(path).send(outgoing(bench)), Accepted)
    (line,) = path.read_bytes().splitlines()
    assert set(json.loads(line)) == {"id", "to", "text", "campaign_id", "at"}


@pytest.mark.parametrize("cut", [1, 2, 40])
async def test_a_torn_last_line_is_repaired(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "sms.jsonl"
    bench = FileBench(tmp_path, sms=True)
    for number in range(3):
        await LineFile(path).send(outgoing(bench, number))
    path.write_bytes(path.read_bytes()[:-cut])
    for number in range(3):
        await LineFile(path).send(outgoing(bench, number))
    ids = [json.loads(line)["id"] for line in path.read_bytes().splitlines()]
    assert sorted(ids) == sorted({outgoing(bench, number).id for number in range(3)})


async def test_a_removed_file_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "sms.jsonl"
    provider, bench = LineFile(path), FileBench(tmp_path, sms=True)
    await provider.send(outgoing(bench))
    path.unlink()
    await provider.send(outgoing(bench))
    assert len(path.read_bytes().splitlines()) == 1


async def test_after_an_error_the_line_stands_once(tmp_path: Path) -> None:
    path = tmp_path / "sms.jsonl"
    provider, bench = LineFile(path), FileBench(tmp_path, sms=True)
    path.mkdir()
    assert isinstance(await provider.send(outgoing(bench)), NotSent)
    path.rmdir()
    assert isinstance(await provider.send(outgoing(bench)), Accepted)
    assert len(path.read_bytes().splitlines()) == 1


async def test_a_message_that_cannot_be_written_is_never_taken_for_written(tmp_path: Path) -> None:
    path = tmp_path / "sms.jsonl"
    provider, bench = LineFile(path), FileBench(tmp_path, sms=True)
    unfit = replace(outgoing(bench), text="\ud800")
    for _ in range(2):
        with pytest.raises(UnicodeEncodeError):
            await provider.send(unfit)
    assert isinstance(await provider.send(outgoing(bench)), Accepted)
    assert len(path.read_bytes().splitlines()) == 1


def _send_all(path: Path) -> None:
    async def run() -> None:
        provider, bench = LineFile(path), FileBench(path.parent, sms=True)
        await asyncio.gather(*(provider.send(outgoing(bench, number)) for number in range(50)))

    asyncio.run(run())


def test_processes_that_share_the_file_write_each_message_once(tmp_path: Path) -> None:
    path = tmp_path / "sms.jsonl"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_send_all, args=(path,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    ids = [json.loads(line)["id"] for line in path.read_bytes().splitlines()]
    assert len(ids) == len(set(ids)) == 50


async def test_a_forgotten_message_says_nothing_and_is_not_sent_again(tmp_path: Path) -> None:
    """In both kinds of files, while another process appends to the lines."""
    for bench in (FileBench(tmp_path / "sms", sms=True), FileBench(tmp_path / "email", sms=False)):
        other = FileBench(bench.outbox.parent, sms=bench.sms)
        messages = [outgoing(bench, number, f"Žluťoučký {number}") for number in range(4)]
        for message in messages[:3]:
            await bench.provider.send(message)
        await other.provider.send(messages[0])  # has read the file as it was
        await bench.provider.forget([messages[1].id, "nobody's"])
        for provider in (bench.provider, other.provider):
            for message in messages:
                assert isinstance(await provider.send(message), Accepted)
        kept = b"".join(path.read_bytes() for path in sorted(bench.outbox.glob("*.*")))
        assert "Žluťoučký 1".encode() not in kept
        if bench.sms:
            assert await bench.received() == ["Žluťoučký 0", "", "Žluťoučký 2", "Žluťoučký 3"]
        else:
            assert len(list(bench.outbox.glob("*.eml"))) == 4


async def test_what_only_one_channel_has_stands_there_too_and_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "whatsapp.jsonl"
    provider = LineFile(path)
    extras = {"name": "welcome", "language": "cs", "parameters": ("Žluťoučká Jana",)}
    message = replace(outgoing(FileBench(tmp_path, sms=True)), channel="whatsapp", extras=extras)
    await provider.send(message)
    assert json.loads(path.read_bytes())["extras"] == {**extras, "parameters": ["Žluťoučká Jana"]}
    size = path.stat().st_size
    await provider.forget([message.id])
    assert "Jana" not in path.read_text("utf-8")
    assert path.stat().st_size == size
    assert json.loads(path.read_bytes()) == {
        "id": message.id,
        "to": "",
        "text": "",
        "campaign_id": "welcome",
        "at": message.at,
    }
