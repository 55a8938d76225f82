"""The documents speak of what exists: links lead somewhere, settings and generated files are those of the code."""

import os.path
import re
from collections import Counter

import pytest

from headrace.contracts import generate
from headrace.runtime import reference
from tests.unit.repository.tree import ROOT, texts

MARKDOWN = sorted(path for path in texts() if path.endswith(".md"))
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
ANCHOR = re.compile(r"\]\((?!\w+://)([^)#\s]*)#([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
GUIDES = sorted(path.removeprefix("docs/") for path in MARKDOWN if re.fullmatch(r"docs/(?!index)[\w-]+\.md", path))
SETTING = re.compile(r"HEADRACE_[A-Z][A-Z_]*[A-Z]")
CODE = re.compile(r"^(?:headrace|services)/.*\.py$")


@pytest.mark.parametrize("path", MARKDOWN)
def test_links_inside_the_repository_lead_somewhere(path: str) -> None:
    folder = (ROOT / path).parent
    targets = [target for target in LINK.findall(texts()[path]) if "://" not in target]
    assert [target for target in targets if not (folder / target).exists()] == []


@pytest.mark.parametrize("path", MARKDOWN)
def test_anchors_inside_the_repository_are_headings(path: str) -> None:
    missing = []
    for target, anchor in ANCHOR.findall(texts()[path]):
        page = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
        if page.endswith(".md") and anchor not in anchors(texts()[page]):
            missing.append(f"{target}#{anchor}")
    assert missing == []


def anchors(page: str) -> set[str]:
    """As GitHub makes them of headings: letters, digits, `_` and `-` stay, spaces become hyphens; those of one
    name are numbered."""
    found: Counter[str] = Counter()
    names = set()
    for heading in HEADING.findall(FENCED.sub("", page)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return names


def test_anchors_are_those_of_github() -> None:
    page = "# One, two: `three`\n```sh\n# no heading\n```\n## Again\n## Again\n## [Link](a.md) é_b\n"
    assert anchors(page) == {"one-two-three", "again", "again-1", "link-é_b"}


@pytest.mark.parametrize("page", GUIDES)
def test_every_page_is_in_the_index(page: str) -> None:
    assert f"]({page}" in texts()["docs/index.md"]


def test_every_setting_the_code_reads_is_documented() -> None:
    read = {name for path, text in texts().items() if CODE.match(path) for name in SETTING.findall(text)}
    documented = set(SETTING.findall(texts()["docs/settings.md"]))
    assert sorted(read - documented) == []


def test_every_documented_setting_is_one() -> None:
    code = "\n".join(text for path, text in texts().items() if CODE.match(path) or path.startswith("tests/"))
    known = set(SETTING.findall(code)) | computed_settings()
    assert sorted(set(SETTING.findall(texts()["docs/settings.md"])) - known) == []


def computed_settings() -> set[str]:
    """Names that the code puts together."""
    services = ("INGEST", "PROFILES", "SEGMENTER", "MESSENGER")
    return {f"HEADRACE_{service}_{what}" for service in services for what in ("PORT", "URL")}


@pytest.mark.parametrize("path", [*generate.documents(), *reference.documents()])
def test_generated_documents_are_up_to_date(path: str) -> None:
    expected = {**generate.documents(), **reference.documents()}[path]
    assert (ROOT / path).read_text(encoding="utf-8") == expected, "run `make generate` and commit the result"
