"""`python -m tests.fuzz`: bad input at every door of a platform of its own, for HEADRACE_FUZZ_SECONDS (30).

HEADRACE_FUZZ_SEED repeats a run's input; what was found is kept in HEADRACE_FUZZ_DIR (fuzz-findings). Exit code 1
when something was found.
"""

import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

from tests.e2e.api import Api
from tests.e2e.stack import UNLIMITED, Stack
from tests.fuzz import good as good_events
from tests.fuzz.definitions import fuzz_definitions
from tests.fuzz.findings import Run
from tests.fuzz.good import Good
from tests.fuzz.imports import MAPPINGS, fuzz_imports
from tests.fuzz.planted import plant
from tests.fuzz.topics import Place, check_flow, check_letters, fuzz_callbacks, fuzz_topics
from tests.fuzz.wire import fuzz_wire

_SIGNS = ("request_failed", "task_ended", "partition_failed", "partition_halted", "Traceback", "follower_failed")


def main() -> int:
    seconds = float(os.environ.get("HEADRACE_FUZZ_SECONDS", "30"))
    seed = int(os.environ.get("HEADRACE_FUZZ_SEED") or secrets.randbelow(2**32))
    folder = Path(os.environ.get("HEADRACE_FUZZ_DIR", "fuzz-findings"))
    print(f"Fuzzing for {seconds:g} s with HEADRACE_FUZZ_SEED={seed}", flush=True)
    # nothing is trimmed before it is looked for, however long the run is
    settings = {**UNLIMITED, "HEADRACE_MAPPINGS": str(MAPPINGS), "HEADRACE_ROLLBACK_HORIZON": "1d"}
    with Stack(settings) as stack:
        run = Run(Random(seed), folder, time.monotonic(), print)
        api = Api(stack)
        try:
            plant(api)
            tried = asyncio.run(_fuzz(run, stack, api, seconds))
        finally:
            api.close()
    print(", ".join(f"{door}: {count}" for door, count in tried.items()))
    print("\n".join(run.found) or "Nothing found.")
    return 1 if run.found else 0


async def _fuzz(run: Run, stack: Stack, api: Api, seconds: float) -> dict[str, int]:
    """How many tries each door had; and then whether all is well."""
    good, before = Good(f"fuzz-{run.random.getrandbits(32):08x}-"), stack.pids()
    unreadable: set[Place] = set()

    async def topics(part: Run) -> None:
        unreadable.update(await fuzz_topics(part, stack))

    tried: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        doors: dict[str, tuple[float, Callable[[Run], Awaitable[None]]]] = {
            "wire": (0.4, lambda part: fuzz_wire(part, stack.ports["ingest"], stack.write_key, good)),
            "definitions": (0.25, lambda part: fuzz_definitions(part, stack, Path(name))),
            "imports": (0.15, lambda part: fuzz_imports(part, stack, good)),
            "topics": (0.1, topics),
            "callbacks": (0.1, lambda part: fuzz_callbacks(part, stack)),
        }
        for door, (weight, fuzz) in doors.items():
            part = run.share(seconds * weight)
            await fuzz(part)
            tried[door] = part.tried
    run.found += await asyncio.to_thread(check_flow, api, good.prefix)
    run.found += await check_letters(unreadable, stack)
    run.found += await good_events.check(good, stack)
    run.found += _signs(before, stack)
    if run.found:
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / "output.txt").write_text(stack.said(), encoding="utf-8")
    return {**tried, "good events answered": len(good.answered)}


def _signs(before: dict[str, int], stack: Stack) -> list[str]:
    """What the platform itself says went wrong. `before`: its processes at the beginning."""
    after = stack.pids()
    died = [] if after == before else [f"processes died: {before} became {after}"]
    return died + [line for line in stack.said().splitlines() if any(sign in line for sign in _SIGNS)][:20]


if __name__ == "__main__":
    sys.exit(main())
