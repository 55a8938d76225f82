"""Door three: files to `POST /v1/import`, CSV by a mapping and NDJSON, with good rows between the broken files."""

import gzip
import json
from pathlib import Path

import httpx

from tests.e2e.stack import Stack
from tests.fuzz.findings import Run
from tests.fuzz.good import Good
from tests.fuzz.mutation import mutated_bytes

MAPPINGS = Path(__file__).parents[2] / "examples" / "imports"
_BOUNDARY = "fuzz"


async def fuzz_imports(run: Run, stack: Stack, good: Good) -> None:
    files = {file.stem: file.read_bytes() for file in sorted(MAPPINGS.glob("*.csv"))}
    auth = (stack.write_key, "")
    async with httpx.AsyncClient(base_url=stack.ingest_url, auth=auth, timeout=60.0, trust_env=False) as client:
        while run.goes_on:
            run.tried += 1
            name = run.random.choice(sorted(files))
            path, body, headers = _broken(run, name, files[name])
            await _post(run, client, path, body, headers)
            await _good_rows(run, client, good)


def _broken(run: Run, name: str, file: bytes) -> tuple[str, bytes, dict[str, str]]:
    random = run.random
    kind = random.choice(("text/csv", "application/x-ndjson", "multipart/form-data", "application/json"))
    body = file if kind != "application/x-ndjson" else _lines()
    body = mutated_bytes(random, body)
    path = f"/v1/import?mapping={name}"
    headers = {"Content-Type": kind}
    if kind == "multipart/form-data":
        body = mutated_bytes(random, _form(name, body)) if random.random() < 0.5 else _form(name, body)
        headers["Content-Type"] += f"; boundary={_BOUNDARY}"
        path = "/v1/import"
    if random.random() < 0.2:
        body = gzip.compress(body)
        headers["Content-Encoding"] = "gzip"
    return path, body, headers


def _lines() -> bytes:
    event = {"type": "track", "userId": "fuzz-import", "event": "Imported", "timestamp": "2026-01-01T00:00:00Z"}
    return b"".join(json.dumps({**event, "messageId": f"fuzz-row-{n}"}).encode() + b"\n" for n in range(5))


def _form(name: str, file: bytes) -> bytes:
    line = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=".encode()
    return (
        line + b'"mapping"\r\n\r\n' + name.encode() + b"\r\n"
        + line + b'"file"; filename="a.csv"\r\nContent-Type: text/csv\r\n\r\n' + file
        + f"\r\n--{_BOUNDARY}--\r\n".encode()
    )  # fmt: skip


async def _good_rows(run: Run, client: httpx.AsyncClient, good: Good) -> None:
    rows = [good.body() for _ in range(3)]
    body = b"\n".join(line for _, line in rows)
    answer = await _post(run, client, "/v1/import", body, {"Content-Type": "application/x-ndjson"})
    if answer is not None and answer.status_code == 200 and "rejected" not in answer.json():
        good.answered |= {key for key, _ in rows}
    else:
        run.crash("imports", f"good rows were answered {answer and answer.text[:200]}", body)


async def _post(
    run: Run, client: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str]
) -> httpx.Response | None:
    try:
        answer = await client.post(path, content=body, headers=headers)
    except httpx.TransportError as error:
        run.crash("imports", f"{path}: {type(error).__name__}", body)
        return None
    if answer.status_code >= 500 and answer.status_code != 503:
        run.crash("imports", f"{path} answered {answer.status_code}", body)
    return answer
