"""Schemathesis over every service's OpenAPI document, against the running platform."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from tests.e2e.stack import Stack
from tests.fuzz.documents import prepared

SERVICES = ("ingest", "profiles", "segmenter", "messenger")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "unsupported_method",
)
PHASES = os.environ.get("HEADRACE_FUZZ_PHASES", "fuzzing")
"""`coverage,fuzzing` tries the borders of every parameter as well, which takes a minute."""

_COMMAND = (sys.executable, "-m", "schemathesis.cli", "run")


def check(
    stack: Stack, service: str, ids: Mapping[str, Sequence[str]], folder: Path, *, examples: int, seed: int
) -> str | None:
    """What it found wrong with the service, with requests that show it; None for nothing. `examples`: at most so
    many requests for an operation in the last phase."""
    document = httpx.get(f"{stack.url(service)}/openapi.json", timeout=60).raise_for_status().json()
    file = folder / f"{service}.json"
    file.write_text(json.dumps(prepared(document, ids)), encoding="utf-8")
    done = subprocess.run(
        (*_COMMAND, str(file), *_options(stack, service, examples, seed)),
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else done.stdout + done.stderr


def _options(stack: Stack, service: str, examples: int, seed: int) -> list[str]:
    options = {
        "--url": stack.url(service),
        "--header": f"Authorization: Bearer {stack.admin_token}",
        "--checks": ",".join(CHECKS),
        "--max-examples": str(examples),
        "--seed": str(seed),
        "--phases": PHASES,
        "--request-timeout": "60",
        "--suppress-health-check": "all",
        "--warnings": "off",
    }
    flags = ["--continue-on-failure", "--no-shrink"]
    return [*(word for pair in options.items() for word in pair), *flags, *_KEYS.get(service, [])]


_KEYS = {"ingest": ["--header", "X-Write-Key: test-write-key"]}
