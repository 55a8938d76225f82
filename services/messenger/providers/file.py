"""The outbox in files: short messages as lines of `outbox/sms.jsonl` (and `viber`, `whatsapp`, `webhook`),
e-mails as `outbox/email/<message id>.eml`.

A provider with idempotency: before it writes it looks whether the message is already there. Several processes
may share the folder.
"""

import asyncio
import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from services.messenger.batcher import Batcher
from services.messenger.providers.mail import mail_bytes
from services.messenger.providers.port import NO_CASCADES, Accepted, NotSent, Outgoing, SendResult

_ERASED = b"X-Headrace-Erased: true\r\n\r\n"


class LineFile:
    """One JSON object a line: `{id, to, text, campaign_id, at}`, and `extras` where the message has some.
    Appended under a lock on the file and fsynced.

    The ids in it are read once; later only what others appended. A last line that a crash cut short is taken
    away: its message was not accepted and is written again.
    """

    name = "file"
    idempotent = True
    cascades = NO_CASCADES

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[str] = set()
        self._known_size = 0
        self._known_file: tuple[int, int] | None = None
        self._writes: Batcher[Outgoing, SendResult] = Batcher(self._write)

    async def send(self, message: Outgoing) -> SendResult:
        return await self._writes.submit(message)

    async def forget(self, message_ids: Sequence[str]) -> None:
        await asyncio.to_thread(self._blank, set(message_ids))

    async def close(self) -> None:
        await self._writes.drain()

    async def _write(self, messages: Sequence[Outgoing]) -> Sequence[SendResult]:
        try:
            await asyncio.to_thread(self._append, messages)
        except OSError as error:
            # what was written is found again at the next attempt
            return [_unwritten(error)] * len(messages)
        return [Accepted(message.id) for message in messages]

    def _append(self, messages: Sequence[Outgoing]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(self._path, "a+b", opener=_private) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._catch_up(file)
            new = {message.id: _line(message) for message in messages if message.id not in self._seen}
            try:
                file.write(b"".join(new.values()))
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                self._known_file = None  # read it all again: some lines may stand there
                raise
            self._seen.update(new)
            self._known_size = file.seek(0, os.SEEK_END)

    def _blank(self, message_ids: set[str]) -> None:
        """Write spaces where these lines say to whom and what. They keep their length: others append meanwhile,
        and know how far they have read."""
        if not message_ids or not self._path.exists():
            return
        with open(self._path, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            place = 0
            for line in file.readlines():
                if message_ids.intersection(_id_of(line)):
                    os.pwrite(file.fileno(), _blanked(line), place)
                place += len(line)
            os.fsync(file.fileno())

    def _catch_up(self, file: IO[bytes]) -> None:
        """Read the ids that came since we looked last, and cut off a torn last line."""
        status = os.fstat(file.fileno())
        identity = (status.st_dev, status.st_ino)
        if identity != self._known_file or status.st_size < self._known_size:
            self._seen, self._known_size, self._known_file = set(), 0, identity
        file.seek(self._known_size)
        for line in file:
            if not line.endswith(b"\n"):
                file.truncate(self._known_size)
                break
            self._known_size += len(line)
            self._seen.update(_id_of(line))


class EmailFolder:
    """One file a message, `<message id>.eml`, put in place whole."""

    name = "file"
    idempotent = True
    cascades = NO_CASCADES

    def __init__(self, folder: Path, *, sender: str = "shop@localhost") -> None:
        self._folder = folder
        self._sender = sender

    async def send(self, message: Outgoing) -> SendResult:
        try:
            await asyncio.to_thread(self._put, message)
        except OSError as error:
            return _unwritten(error)
        return Accepted(message.id)

    async def forget(self, message_ids: Sequence[str]) -> None:
        await asyncio.to_thread(self._blank, message_ids)

    async def close(self) -> None:
        return None

    def _blank(self, message_ids: Sequence[str]) -> None:
        """Leave files that say nothing: a repeated send finds them."""
        for path in (self._folder / f"{message_id}.eml" for message_id in message_ids):
            if path.exists():
                self._replace(path, _ERASED)

    def _put(self, message: Outgoing) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{message.id}.eml"
        if not path.exists():
            self._replace(path, mail_bytes(message, sender=self._sender))

    def _replace(self, path: Path, content: bytes) -> None:
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        with open(draft, "wb", opener=_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _line(message: Outgoing) -> bytes:
    line: dict[str, Any] = {
        "id": message.id,
        "to": message.to,
        "text": message.text,
        "campaign_id": message.campaign_id,
        "at": message.at,
    }
    if message.extras:
        line["extras"] = dict(message.extras)
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _blanked(line: bytes) -> bytes:
    """The line without address and text, as long as it was."""
    said = {**json.loads(line), "to": "", "text": ""}
    said.pop("extras", None)
    blank = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    return blank.ljust(len(line) - 1) + b"\n"


def _id_of(line: bytes) -> Sequence[str]:
    """The id of a line; nothing for a line that is not ours (someone edited the file)."""
    try:
        return [str(json.loads(line)["id"])]
    except (ValueError, KeyError, TypeError):
        return []


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _unwritten(error: OSError) -> NotSent:
    return NotSent(f"os_error_{error.errno or 0}", concerns="provider")
