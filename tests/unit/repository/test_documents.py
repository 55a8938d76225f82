"""The documents speak of what exists: links lead somewhere, settings and generated files are those of the code."""

import re

import pytest

from headrace.contracts import generate
from headrace.runtime import reference
from tests.unit.repository.tree import ROOT, texts

MARKDOWN = sorted(path for path in texts() if path.endswith(".md"))
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
SETTING = re.compile(r"HEADRACE_[A-Z][A-Z_]*[A-Z]")
CODE = re.compile(r"^(?:headrace|services)/.*\.py$")


@pytest.mark.parametrize("path", MARKDOWN)
def test_links_inside_the_repository_lead_somewhere(path: str) -> None:
    folder = (ROOT / path).parent
    targets = [target for target in LINK.findall(texts()[path]) if "://" not in target]
    assert [target for target in targets if not (folder / target).exists()] == []


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
