"""Writes what is generated from the contracts: `python -m headrace.contracts.generate [--check]`.

docs/schemas/*.json, docs/asyncapi.json and docs/topics.md. With --check nothing is written: exit 1 and the names
of the files that are stale, missing or no longer generated.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace import __version__
from headrace.contracts.asyncapi import asyncapi
from headrace.contracts.schemas import schemas
from headrace.contracts.topics import TOPICS

# Folders where every file is generated, so that one no longer generated is found.
WHOLLY_GENERATED = ("docs/schemas",)


def documents() -> dict[str, str]:
    """Every generated document: its path in the repository and its text. Deterministic."""
    texts = {f"docs/schemas/{name}.json": _json(schema) for name, schema in schemas().items()}
    texts["docs/asyncapi.json"] = _json(asyncapi(__version__))
    texts["docs/topics.md"] = _topics()
    return texts


def run(texts: Mapping[str, str], folders: Sequence[str], arguments: Sequence[str], root: Path) -> int:
    """Write `texts` below `root`, or compare (`--check`); files in `folders` that are not in `texts` go.

    Returns the process's exit code: 1 when --check found a difference.
    """
    parser = argparse.ArgumentParser(description="Write the generated documents.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    check = parser.parse_args(arguments).check
    stale = [path for path, text in texts.items() if _read(root / path) != text]
    extra = [path for path in _present(folders, root) if path not in texts]
    if check:
        for path in (*stale, *extra):
            sys.stderr.write(f"{path} is stale: run `make generate` and commit the result\n")
        return 1 if stale or extra else 0
    for path in stale:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(texts[path], encoding="utf-8")
    for path in extra:
        (root / path).unlink()
    return 0


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _topics() -> str:
    rows = [
        [
            f"`{topic.name}`",
            topic.key,
            topic.description + (" On Kafka only." if topic.kafka_only else ""),
            ", ".join(topic.senders) or "nobody yet",
            ", ".join(group.removeprefix("headrace.") for group in topic.groups) or "-",
            topic.cleanup,
        ]
        for topic in TOPICS
    ]
    head = ["topic", "key", "records", "from", "read by", "cleanup"]
    return (
        "# Topics\n\n"
        "Generated from `headrace/contracts/topics.py`. The shape of every record is in [schemas/](schemas) and\n"
        "in the AsyncAPI document, [asyncapi.json](asyncapi.json). Names take `HEADRACE_TOPIC_PREFIX` in front;\n"
        "partition = BLAKE2b-64 of the key, big-endian, modulo the number of partitions.\n\n"
        f"{table(head, rows)}\n"
        "How to read them: [Topics for engineers](downstream.md).\n"
    )


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _present(folders: Sequence[str], root: Path) -> list[str]:
    return sorted(
        path.relative_to(root).as_posix() for folder in folders for path in (root / folder).glob("*.json")
    )


if __name__ == "__main__":
    sys.exit(run(documents(), WHOLLY_GENERATED, sys.argv[1:], Path.cwd()))
