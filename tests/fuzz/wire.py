"""Door one: bytes on ingest's sockets. Requests of the catalogue, broken in every layer: line, headers, framing,
encoding, body. Between them, on the same connections, good events."""

import asyncio
import base64
import gzip
import re
import zlib
from collections.abc import Sequence
from random import Random

from services.ingest.routes import ROUTES
from tests.bad_inputs import CASES
from tests.fuzz.findings import Run
from tests.fuzz.good import Good
from tests.fuzz.mutation import NASTY_BYTES, mutated_bytes

_STATUS = re.compile(rb"(?:^|\n|\})HTTP/1\.[01] (\d\d\d)[ \r]")
_ANSWER_SECONDS = 30.0
_LINGER_SECONDS = 0.5
_OTHERS = (
    "/",
    "/v1/import?mapping=crm-contacts",
    "/v1/dead-letters/replay",
    "/sourceConfig/",
    "/v1/hooks/email",
    "/docs",
)
_LONGEST = 200_000


async def fuzz_wire(run: Run, port: int, key: str, good: Good, *, at_once: int = 4) -> None:
    """Talk until the time is up, on several connections at once."""
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(_talk(run, port, key, good))


async def _talk(run: Run, port: int, key: str, good: Good) -> None:
    while run.goes_on:
        run.tried += 1
        bad = broken_request(run.random, key)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            if run.random.random() < 0.5:
                await _send_good(run, reader, writer, key, good)
            said = await _send_bad(reader, writer, bad)
        except (ConnectionError, asyncio.IncompleteReadError):
            continue  # it is their right to hang up
        finally:
            writer.close()
        for status in _STATUS.findall(said):
            if int(status) >= 500 and int(status) != 503:
                run.crash("wire", f"answered {int(status)}", bad)


async def _send_good(
    run: Run, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str, good: Good
) -> None:
    message_id, body = good.body()
    sent = _request(b"POST /v1/track HTTP/1.1", _headers(key), body)
    writer.write(sent)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _ANSWER_SECONDS)
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    answer = await reader.readexactly(int(length[1]) if length else 0)
    if not head.startswith(b"HTTP/1.1 200") or answer != b'{"success":true}':
        run.crash("wire", f"a good event was answered {head[:15]!r} {answer[:200]!r}", sent)
    else:
        good.answered.add(message_id)


async def _send_bad(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bad: bytes) -> bytes:
    """What it answers until it hangs up or falls silent."""
    writer.write(bad)
    said = b""
    try:
        await asyncio.wait_for(writer.drain(), _LINGER_SECONDS)
        writer.write_eof()
        while piece := await asyncio.wait_for(reader.read(65_536), _LINGER_SECONDS):
            said += piece
    except OSError:  # it takes too long, or hung up, or did so before we could say that this is all
        return said
    return said


def broken_request(random: Random, key: str) -> bytes:
    """One request, or several behind each other, at least one of them likely to be bad."""
    requests = [_broken(random, key) for _ in range(random.choice((1, 1, 1, 2, 4)))]
    whole = b"".join(requests)
    if random.random() < 0.1:
        whole = whole[: random.randint(0, len(whole))]
    return whole


def _broken(random: Random, key: str) -> bytes:
    case = random.choice(CASES)
    path = random.choice((case.path, random.choice(tuple(ROUTES)), random.choice(_OTHERS)))
    body = case.body[:_LONGEST]
    headers = _headers(key) if random.random() < 0.9 else _headers("guess")
    headers += [f"{name.replace('_', '-')}: {value}".encode() for name, value in case.headers.items()]
    if random.random() < 0.6:
        body = mutated_bytes(random, body)
    if random.random() < 0.3:
        body, header = _encoded(random, body)
        headers.append(header)
    headers += _odd_headers(random)
    line = f"{random.choice(('POST', 'POST', 'POST', 'GET', 'PUT', 'OPTIONS', 'HEAD', 'BREW'))} {path} HTTP/1.1"
    request = (
        _request(line.encode(), headers, body)
        if random.random() < 0.7
        else _chunked(random, line.encode(), headers, body)
    )
    return mutated_bytes(random, request) if random.random() < 0.2 else request


def _headers(key: str) -> list[bytes]:
    return [b"Host: cdp", b"Authorization: Basic " + base64.b64encode(f"{key}:".encode())]


def _request(line: bytes, headers: Sequence[bytes], body: bytes) -> bytes:
    return b"\r\n".join([line, *headers, b"Content-Length: %d" % len(body), b"", body])


def _encoded(random: Random, body: bytes) -> tuple[bytes, bytes]:
    packed = random.choice((gzip.compress(body), gzip.compress(b" " * 2_000_000 + body), zlib.compress(body)))
    if random.random() < 0.5:
        packed = mutated_bytes(random, packed)
    name = random.choice((b"gzip", b"gzip", b"gzip", b"deflate", b"br", b"identity", b"gzip, gzip", b"\xff"))
    return packed, b"Content-Encoding: " + name


_ODD = (
    b"Content-Type: text/plain",
    b"Content-Type: text/csv",
    b"Content-Type: application/x-ndjson",
    b"Content-Type: multipart/form-data; boundary=x",
    b"Content-Type: multipart/form-data; boundary=",
    b"Content-Type: application/json; charset=utf-16",
    b"Content-Type: \xff\xfe;;;=",
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip",
    b"Expect: 100-continue",
    b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Connection: close",
    b"X-Forwarded-For: \xff, 1.1.1.1, ::1",
    b"SentAt: 9999-99-99",
    b"Origin: null",
    b"Origin: \xf0\x9f\x98\x80",
    b"Authorization: Basic !!!!",
    b"Authorization: Bearer \xff",
    b"X-Write-Key: \0",
    b"traceparent: 00-zz",
    b" folded: header",
    b"No colon here",
    b"X-Long: " + b"x" * 20_000,
)


def _odd_headers(random: Random) -> list[bytes]:
    return random.sample(_ODD, random.choice((0, 0, 1, 1, 2, 4)))


def _chunked(random: Random, line: bytes, headers: Sequence[bytes], body: bytes) -> bytes:
    """Chunked, and in half of all cases not quite."""
    pieces = [body[at : at + 1_000] for at in range(0, len(body), 1_000)]
    sizes = [b"%x" % len(piece) for piece in pieces]
    if sizes and random.random() < 0.5:
        sizes[random.randrange(len(sizes))] = random.choice(
            (b"", b"-1", b"zz", b"ffffffffffffffff", b"3;x=\0", b"0")
        )
    chunks = b"".join(size + b"\r\n" + piece + b"\r\n" for size, piece in zip(sizes, pieces, strict=True))
    whole = b"0\r\n\r\n"
    end = random.choice((whole, whole, b"", b"0\r\nTrailer: x\r\n\r\n", random.choice(NASTY_BYTES)))
    return b"\r\n".join([line, *headers, b"Transfer-Encoding: chunked", b"", chunks]) + end
