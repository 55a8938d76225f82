"""Every benchmark, one after the other: `python -m tests.bench [NAME …] [--log URL] [--json FILE]`.

Each runs in a process of its own, so that none inherits another's cores or memory. Names are those of the modules
without `bench_`; without names, all of them that need only Python packages.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.logs import add_log

BENCHES = (
    "log",
    "ingest",
    "import",
    "profiles",
    "search",
    "segmenter",
    "backfill",
    "rfm",
    "messenger",
    "stack",
    "idle",
)
BY_NAME = ("scale", "capacity")
"""Those that need Java and Maven, for a Kafka of their own."""
_TAKE_A_LOG = frozenset({"log", "ingest", "stack", "idle"})


def run(name: str, log: str, folder: Path) -> list[object]:
    """The reports of one benchmark, which prints its table itself. Raises CalledProcessError."""
    found = folder / f"{name}.json"
    command = [sys.executable, "-m", f"tests.bench.bench_{name}", "--json", str(found)]
    if name in _TAKE_A_LOG:
        command += ["--log", log]
    subprocess.run(command, check=True)
    reports: list[object] = json.loads(found.read_bytes())
    return reports


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[*BENCHES, *BY_NAME, []], metavar="NAME", help=", ".join((*BENCHES, *BY_NAME))
    )
    add_log(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here")
    given = parser.parse_args(arguments)
    reports: list[object] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in given.names or BENCHES:
            reports += run(name, given.log, Path(folder))
            print(flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(reports, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
