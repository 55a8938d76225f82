"""Door two: definitions of every kind, as YAML and as JSON, through the linter and to the services."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from headrace.cli.documents import KINDS, read_documents
from headrace.cli.references import reference_findings
from headrace.contracts.documents import load_documents
from tests.e2e.stack import Stack
from tests.fuzz.findings import Run
from tests.fuzz.mutation import mutated_bytes, mutated_document

_EXAMPLES = Path(__file__).parents[2] / "examples"
_KEPT = 20  # ids in use, so that changes of definitions are tried as well


def seeds() -> list[Any]:
    """Every definition of the examples."""
    files = sorted(_EXAMPLES.glob("*/*.yaml")) + sorted(_EXAMPLES.glob("*.yaml"))
    return [document for file in files for document in load_documents(file.read_text(encoding="utf-8"))]


async def fuzz_definitions(run: Run, stack: Stack, folder: Path) -> None:
    known = seeds()
    token = {"Authorization": f"Bearer {stack.admin_token}"}
    async with httpx.AsyncClient(headers=token, timeout=60.0, trust_env=False) as client:
        while run.goes_on:
            run.tried += 1
            kind, text = _text(run, known)
            await asyncio.to_thread(_lint, run, folder, text)
            if kind in KINDS:
                await _put(run, client, stack, kind, text)


def _text(run: Run, known: Sequence[Any]) -> tuple[str, bytes]:
    """The kind that it is put as, and a definition that is wrong somewhere."""
    random = run.random
    document = random.choice(known)
    changed = mutated_document(random, document)
    kind = str(document.get("kind", ""))
    if isinstance(changed, dict):
        changed.pop("id", None)
    as_json = random.random() < 0.5
    try:
        text = json.dumps(changed) if as_json else yaml.safe_dump(changed, allow_unicode=True)
    except (ValueError, RecursionError, yaml.YAMLError):
        text = json.dumps(document)
    data = text.encode("utf-8", "surrogatepass")
    return kind, mutated_bytes(random, data) if random.random() < 0.3 else data


def _lint(run: Run, folder: Path, text: bytes) -> None:
    file = folder / "fuzzed.yaml"
    file.write_bytes(text)
    try:
        documents, _ = read_documents([file])
        reference_findings(documents)
    except Exception as error:
        run.crash("lint", f"{type(error).__name__}: {error}"[:300], text)


async def _put(run: Run, client: httpx.AsyncClient, stack: Stack, kind: str, text: bytes) -> None:
    place = KINDS[kind]
    where = f"{place.path}/fuzz-{kind}-{run.random.randrange(_KEPT)}"
    for path in (where, f"{place.path}/preview") if kind == "segment" else (where,):
        send = client.post if path.endswith("/preview") else client.put
        try:
            answer = await send(stack.url(place.service) + path, content=text)
        except httpx.TransportError as error:
            run.crash("definitions", f"{path}: {type(error).__name__}", text)
            return
        if answer.status_code >= 500 and answer.status_code != 503:
            run.crash("definitions", f"{path} answered {answer.status_code}: {answer.text[:200]}", text)
