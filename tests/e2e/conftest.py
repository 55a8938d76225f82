"""One stack for all end-to-end tests of a session: each test uses customers, segments and campaigns of its own."""

from collections.abc import Iterator

import pytest

from tests.e2e.stack import UNLIMITED, Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with Stack(UNLIMITED) as running:
        yield running
