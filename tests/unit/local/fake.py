"""A stack of stand-ins for the services on real engines."""

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.stack import Stack

FAKE_UP = (sys.executable, str(Path(__file__).with_name("fake_up.py")))
_ENV = {"PYTHONPATH": str(Path(__file__).parents[3])}


def fake_stack(env: Mapping[str, str] | None = None, *, data_dir: Path | None = None) -> Stack:
    return Stack({**_ENV, **(env or {})}, data_dir=data_dir, command=FAKE_UP)


def refused(stack: Stack) -> str:
    """What a start that must fail says: one line, exit code 1, no traceback."""
    try:
        stack.output.parent.mkdir(parents=True, exist_ok=True)
        process = stack.launch()
        assert process.wait(30) == 1
        said = stack.said()
    finally:
        stack.stop()
        stack.remove()
    assert "Traceback" not in said
    errors = [line for line in said.splitlines() if line.startswith("headrace: ")]
    assert len(errors) == 1, said
    return errors[0]
