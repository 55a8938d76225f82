"""One stack of stand-ins for the tests of this folder; a test that stops it leaves that to the next to mend."""

from collections.abc import Iterator

import pytest

from tests.e2e.stack import Stack
from tests.unit.local.fake import fake_stack


@pytest.fixture(scope="session")
def fake_up() -> Iterator[Stack]:
    stack = fake_stack({"HEADRACE_WRITE_KEY": "", "HEADRACE_ADMIN_TOKEN": ""})
    for name in ("LANG", "LC_ALL", "TZ", "HOME"):
        stack.env.pop(name, None)
    with stack:
        yield stack


@pytest.fixture
def up(fake_up: Stack) -> Stack:
    """The stack, running."""
    if fake_up.process is None or fake_up.process.poll() is not None:
        fake_up.start()
    return fake_up
