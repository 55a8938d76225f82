"""Rules for every file of the repository."""

import re

import pytest

from tests.unit.repository.tree import ROOT, texts

# Written in two halves: this file is one of those it looks at.
_HALVES = [("pypi", ".org"), ("python", "hosted.org"), ("npm", "js.org"), ("maven", ".org")]
REGISTRY_HOSTS = [first + second for first, second in _HALVES]
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:home|Users|root|work|tmp|opt|mnt)/[\w.-]+")
# Folders of an image or of a test's imagination, the same on every machine.
ALLOWED_PATHS = re.compile(r"^/(?:home/headrace|opt/headrace|tmp/headrace)\b")
GENERATED_DATA = re.compile(r"\.(?:csv|ndjson|lock)$")


@pytest.mark.parametrize("path", sorted(texts()))
def test_names_no_registry_and_no_path_of_a_machine(path: str) -> None:
    text = texts()[path]
    assert [host for host in REGISTRY_HOSTS if host in text] == []
    assert [found for found in MACHINE_PATH.findall(text) if not ALLOWED_PATHS.match(found)] == []


def test_lines_end_as_editorconfig_says() -> None:
    wrong = [
        path
        for path, text in texts().items()
        if not GENERATED_DATA.search(path) and text and ("\r" in text or not text.endswith("\n"))
    ]
    assert wrong == []


def test_every_package_of_tests_is_one() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
