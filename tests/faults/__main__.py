"""The fault suite by hand: every failpoint in a row of its own, many events a row.

    HEADRACE_FAULT_EVENTS=20000 python -m tests.faults [WORD…]

Runs the rows whose names contain one of the words, all without any. Prints one line a row; exit code 1 when a row
loses, doubles, or does not recover in time. On the engines that the environment names (tests/servers), else on
embedded ones.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from tests.faults.full_disk import DISKS
from tests.faults.operated import SECOND
from tests.faults.platform import Platform
from tests.faults.restored import RESTORED
from tests.faults.rows import EVERY_POINT, OTHERS
from tests.faults.suite import LeftOut, Row, run
from tests.servers.packages import Missing

_EVENTS = 20_000
_EVENTS_PER_SECOND = 500
_ROWS_PER_PLATFORM = 5
"""Every recount is of all that a platform was ever told."""
_PATIENCE_SECONDS = 120.0


def main(words: Sequence[str]) -> int:
    events = int(os.environ.get("HEADRACE_FAULT_EVENTS", _EVENTS))
    rows = [
        row
        for row in (*EVERY_POINT, *OTHERS, *SECOND, RESTORED)
        if not words or any(word in row.name for word in words)
    ]
    shares = [rows[start : start + _ROWS_PER_PLATFORM] for start in range(0, len(rows), _ROWS_PER_PLATFORM)]
    return max([_run(share, events) for share in shares], default=1)


def _run(rows: Sequence[Row], events: int) -> int:
    """The rows on a platform of their own; 0 when all are fine."""
    fine = True
    with Platform(disks=DISKS) as platform:
        for row in rows:
            longer = replace(row, seconds=max(row.seconds, events / _EVENTS_PER_SECOND))
            try:
                result = run(platform, longer, events, patience=_PATIENCE_SECONDS)
            except (Missing, LeftOut) as reason:
                print(f"{row.name}: left out, {reason}", flush=True)
                continue
            print(result, flush=True)
            fine = fine and result.fine
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
