"""Every command of every page runs, and says what the page shows. One platform for all, as `make run` starts it."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, blocks
from tests.docs.commands import headrace_command
from tests.docs.reader import Reader, fresh_clone, need
from tests.e2e.stack import Stack


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """Short, for the name of a socket."""
    with tempfile.TemporaryDirectory(prefix="headrace-docs-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    need("curl", "bash", "make")
    with Stack({"HEADRACE_MAPPINGS": str(ROOT / "examples" / "imports")}) as running:
        yield running


@pytest.fixture(scope="module")
def clone(stack: Stack, scratch: Path) -> Iterator[Path]:
    folder = scratch / "headrace"
    folder.mkdir()
    fresh_clone(folder, stack.data_dir, sys.executable)
    with headrace_command(folder / ".venv" / "bin" / "headrace"):
        yield folder


RUN = [page for page in PAGES if any(block.language in {"sh", "python"} for block in blocks(page))]
# A new user begins there; the others stand in no order.
FIRST = ["docs/getting-started.md", "README.md"]


@pytest.mark.parametrize("page", sorted(RUN, key=lambda page: (page not in FIRST, page)))
def test_the_commands_of_a_page(page: str, stack: Stack, clone: Path, scratch: Path) -> None:
    Reader(stack, clone, scratch).follow(page, blocks(page))
