"""Every command of every page runs, and says what the page shows. One platform for all."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, blocks
from tests.docs.commands import headrace_command
from tests.docs.node import node_modules
from tests.docs.reader import Reader, fresh_clone, need
from tests.docs.site import site
from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

pytestmark = pytest.mark.timeout(600)  # of a busy machine; all of it takes seconds


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


VISIT = Path(__file__).parent / "npm" / "visit.mjs"
RUN = [page for page in PAGES if any(block.language in {"sh", "python"} for block in blocks(page))]
# A new user begins there; the others stand in no order.
FIRST = ["docs/getting-started.md", "README.md"]


@pytest.mark.parametrize("page", sorted(RUN, key=lambda page: (page not in FIRST, page)))
def test_the_commands_of_a_page(page: str, stack: Stack, clone: Path, scratch: Path) -> None:
    Reader(stack, clone, scratch).follow(page, blocks(page))


TRACKING = "docs/tracking.md"


def test_what_node_sends_arrives(stack: Stack, clone: Path, scratch: Path, tmp_path: Path) -> None:
    [snippet] = (block.text for block in blocks(TRACKING) if "node" in block.marks)
    (tmp_path / "node_modules").symlink_to(node_modules())
    (tmp_path / "snippet.mjs").write_text(Reader(stack, clone, scratch).here(snippet))
    said = subprocess.run(("node", "snippet.mjs"), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout + said.stderr == ""
    assert "Order Completed" in arrived(stack, "u12")


def test_what_a_browser_sends_arrives(stack: Stack, clone: Path, scratch: Path, tmp_path: Path) -> None:
    """The page's own HTML in a browser's stead (jsdom: with CORS, but without rendering)."""
    packages = node_modules()
    snippets = [block.text for block in blocks(TRACKING) if block.language == "html"]
    shutil.copytree(packages / "@segment/analytics-next/dist/umd", tmp_path / "site" / "assets")
    page = Reader(stack, clone, scratch).here("<!doctype html><title>Shop</title>" + "".join(snippets))
    (tmp_path / "site" / "index.html").write_text(page)
    (tmp_path / "node_modules").symlink_to(packages)
    shutil.copy(VISIT, tmp_path)
    with site(tmp_path / "site") as url:
        browser = subprocess.Popen(
            ("node", VISIT.name, url),
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            names = arrived(stack, "u13", "Product Added")
        finally:
            said, _ = browser.communicate()
    assert {"page", "identify", "Product Added"} <= names, said


def arrived(stack: Stack, user: str, event: str = "Order Completed") -> set[str]:
    """Names of a customer's events, types of those that have none, once `event` is among them."""
    api = Api(stack)

    def names() -> set[str] | None:
        profile = api.profile("user_id", user)
        rows = api.timeline(profile["id"]) if profile else []
        found = {row.get("event") or row["type"] for row in rows}
        return found if event in found else None

    try:
        return wait_until(names, 30, what=f"{event} of {user}")
    finally:
        api.close()
