"""What stands between fences in a page of Markdown."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "ARCHITECTURE.md",
        *ROOT.glob("docs/**/*.md"),
    )
)

_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^ {4,}\S.*\n)+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `marks` are the words behind its language, which a reader on the web does not see."""

    page: str
    line: int
    language: str
    marks: frozenset[str]
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str) -> list[Block]:
    """Those of a page, in their order; `line` is that of the opening fence."""
    return list(blocks_of(page, (ROOT / page).read_text(encoding="utf-8")))


def blocks_of(page: str, text: str) -> Iterator[Block]:
    for found in _FENCE.finditer(text):
        indent, words, body = found.groups()
        language, *marks = words.split() or [""]
        line = text.count("\n", 0, found.start()) + 1
        inner = re.sub(rf"^{indent}", "", body, flags=re.MULTILINE)
        yield Block(page, line, language, frozenset(marks), inner)


def indented(page: str) -> list[tuple[int, str]]:
    """Line number and text of what is set off by indentation alone, outside of fences."""
    text = (ROOT / page).read_text(encoding="utf-8")
    bare = _FENCE.sub(lambda fence: re.sub(r"[^\n]", "", fence[0]), text)
    return [(bare.count("\n", 0, found.start()) + 1, found[0]) for found in _INDENTED.finditer(bare)]
