"""Generated documents: deterministic, written where they belong, and a stale one is noticed."""

from pathlib import Path

import pytest

from headrace.contracts.generate import WHOLLY_GENERATED, documents, run
from headrace.runtime import reference

TEXTS = documents()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    assert run(TEXTS, WHOLLY_GENERATED, [], tmp_path) == 0
    return tmp_path


def check(root: Path) -> int:
    return run(TEXTS, WHOLLY_GENERATED, ["--check"], root)


def test_what_was_just_written_is_fresh(repository: Path) -> None:
    assert check(repository) == 0
    assert (repository / "docs/asyncapi.json").is_file()
    assert (repository / "docs/schemas/event.json").is_file()


@pytest.mark.parametrize("path", sorted(TEXTS))
def test_a_changed_document_is_stale(path: str, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = repository / path
    target.write_text(target.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert check(repository) == 1
    assert f"{path} is stale" in capsys.readouterr().err


def test_a_missing_document_is_stale(repository: Path) -> None:
    (repository / "docs/topics.md").unlink()
    assert check(repository) == 1


def test_a_schema_of_a_type_that_is_gone_is_stale_and_removed(repository: Path) -> None:
    left_over = repository / "docs/schemas/gone.json"
    left_over.write_text("{}", encoding="utf-8")
    assert check(repository) == 1
    assert left_over.exists()
    assert run(TEXTS, WHOLLY_GENERATED, [], repository) == 0
    assert not left_over.exists()


def test_checking_writes_nothing(tmp_path: Path) -> None:
    assert check(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_two_runs_give_the_same_text() -> None:
    assert documents() == TEXTS
    assert reference.documents() == reference.documents()
