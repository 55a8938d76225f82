"""Definitions that ask for each other: what lint says, and in which order they are applied."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from headrace.cli import definitions
from headrace.cli.deployment import Deployment
from tests.unit.cli.fake_admin import FakeAdmin, serving

LIST = "kind: list\nid: fans\nname: Fans\n"
STAGES = """kind: stages
id: life
name: Life
stages:
  - {id: new, when: {segment: {id: first-order}}}
  - {id: old, when: {tag: {name: old}}}
"""


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def admin() -> Iterator[FakeAdmin]:
    with serving(FakeAdmin()) as fake:
        yield fake


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def deployment(admin: FakeAdmin) -> Deployment:
    return Deployment.of({"HEADRACE_SEGMENTER_URL": admin.url, "HEADRACE_ADMIN_TOKEN": "secret"})


def asking(id: str, *asked: str) -> str:
    parts = ", ".join(f"{{segment: {{id: {one}}}}}" for one in asked)
    return f"kind: segment\nid: {id}\nname: {id}\nwhen: {{any: [{{tag: {{name: x}}}}, {parts}]}}\n"


def write(tmp_path: Path, *documents: str, name: str = "d.yaml") -> Path:
    file = tmp_path / name
    file.write_text("---\n".join(documents), encoding="utf-8")
    return file


def test_lint_notes_a_pool_that_a_survey_awards_and_is_in_none_of_the_files(
    tmp_path: Path, console: Console
) -> None:
    question = "{id: q, text: How, type: text, trait: mood}"
    survey = f"kind: survey\nid: s\nname: S\naward: {{voucher: codes}}\nquestions: [{question}]\n"
    pool = "kind: vouchers\nid: codes\nname: Codes\ngenerate: {}\n"
    assert definitions.lint([write(tmp_path, survey, pool)], console) == 0
    assert "note" not in said(console)
    file = write(tmp_path, survey, pool.replace("codes", "code"))
    assert definitions.lint([file], console) == 0
    note = f"note: {file}:1 award.voucher: codes is in none of these files (did you mean code?)"
    assert note in said(console).splitlines()


def test_lint_notes_what_is_in_none_of_the_files(tmp_path: Path, console: Console) -> None:
    file = write(tmp_path, asking("a", "fans", "fnas", "elsewhere"), LIST)
    assert definitions.lint([file], console) == 0
    assert said(console).splitlines() == [
        f"note: {file}:1 when.any.2.segment.id: fnas is in none of these files (did you mean fans?)",
        f"note: {file}:1 when.any.3.segment.id: elsewhere is in none of these files "
        "(it must be there before these are applied)",
        "2 definitions are right",
    ]


def test_lint_looks_for_what_is_asked_for_in_all_files(tmp_path: Path, console: Console) -> None:
    files = [write(tmp_path, asking("a", "life-new", "first-order"), name="a.yaml"), write(tmp_path, STAGES)]
    files.append(write(tmp_path, asking("first-order"), name="c.yaml"))
    assert definitions.lint(files, console) == 0
    assert said(console) == "3 definitions are right\n"


def test_a_circle_is_an_error_also_beside_a_note(tmp_path: Path, console: Console) -> None:
    first, second = write(tmp_path, asking("a", "b", "zzz")), write(tmp_path, asking("b", "a"), name="b.yaml")
    assert definitions.lint([first, second], console) == 1
    assert f"{first}:1 when.any.1.segment.id: the segments ask for each other in a circle: a → b → a" in said(
        console
    )
    assert f"{second}:1 when.any.1.segment.id: the segments ask for each other in a circle: b → a → b" in said(
        console
    )
    assert "zzz" in said(console)


def test_nothing_is_applied_when_segments_go_in_a_circle(
    tmp_path: Path, admin: FakeAdmin, console: Console
) -> None:
    with pytest.raises(definitions.Invalid, match="a → b → a"):
        definitions.apply(
            [write(tmp_path, asking("a", "b"), asking("b", "a"))], deployment(admin), console, wait=None
        )
    assert admin.kept == {}


def test_what_is_asked_for_is_applied_first(tmp_path: Path, admin: FakeAdmin, console: Console) -> None:
    documents = [asking("c", "life-old", "b"), asking("b", "fans"), STAGES, LIST, asking("first-order")]
    definitions.apply([write(tmp_path, *documents)], deployment(admin), console, wait=None)
    order = [path.rsplit("/", 1)[1] for path in admin.kept]
    assert order == ["first-order", "life", "fans", "b", "c"]


def test_lists_and_stages_are_kept_by_the_segmenter(tmp_path: Path, admin: FakeAdmin, console: Console) -> None:
    file = write(tmp_path, LIST, STAGES, asking("first-order"))
    admin.status = ["backfilling", "live"]
    definitions.apply([file], deployment(admin), console, wait=10)
    assert said(console).splitlines() == [
        "list fans version 1 live",
        "segment first-order version 1 live",
        "stages life version 1 live",
    ]
    for kind, id in (("list", "fans"), ("stages", "life"), ("segments", "first-order")):
        definitions.delete(kind, id, deployment(admin), console)
    assert said(console).splitlines()[3:] == [
        "list fans deleted",
        "stages life deleted",
        "segment first-order deleted",
    ]
    assert admin.kept == {}


@pytest.mark.parametrize(
    ("kind", "ids"),
    [("segments", ["fans", "first-order", "life"]), ("lists", ["fans"]), ("list", ["fans"]), ("stages", ["life"])],
)
def test_get_lists_a_kind(tmp_path: Path, admin: FakeAdmin, console: Console, kind: str, ids: list[str]) -> None:
    file = write(tmp_path, LIST, STAGES, asking("first-order"))
    definitions.apply([file], deployment(admin), Console(file=io.StringIO()), wait=None)
    definitions.get(kind, None, deployment(admin), console)
    assert [line.split()[0] for line in said(console).splitlines()[1:]] == ids


def pinging(id: str, event: str, points: str = "award_points: {points: 1}") -> str:
    return f"kind: campaign\nid: {id}\nname: {id}\ntrigger: {{event: {event}}}\nsteps: [{{{points}}}]\n"


def test_campaigns_in_a_circle_are_wrong_in_whichever_files_they_stand(tmp_path: Path, console: Console) -> None:
    first = write(tmp_path, pinging("a", "Points Awarded", "tag: {name: x}"), name="a.yaml")
    body = pinging("b", "unused").replace("{event: unused}", "{segment: tagged}")
    second = write(tmp_path, body, "kind: segment\nid: tagged\nname: T\nwhen: {tag: {name: x}}\n", name="b.yaml")
    assert definitions.lint([first], console) == 0
    assert definitions.lint([first, second], console) == 1
    way = "campaign a → tag x → segment tagged → campaign b → event Points Awarded → campaign a"
    for file in (first, second):
        assert f"{file}:1 trigger: the campaigns start each other in a circle: {way} (give one of" in said(console)


def test_nothing_is_applied_when_campaigns_go_in_a_circle(
    tmp_path: Path, admin: FakeAdmin, console: Console
) -> None:
    file = write(tmp_path, LIST, pinging("a", "Points Awarded"))
    with pytest.raises(definitions.Invalid, match="the campaign starts itself again"):
        definitions.apply([file], deployment(admin), console, wait=None)
    assert admin.kept == {}


def test_lint_notes_what_a_campaign_names_and_no_file_has(tmp_path: Path, console: Console) -> None:
    file = write(tmp_path, LIST, pinging("a", "A", "voucher: {pool: codes}"))
    assert definitions.lint([file], console) == 0
    assert said(console).splitlines() == [
        f"note: {file}:2 steps.0.voucher.pool: codes is in none of these files "
        "(it must be there before these are applied)",
        "2 definitions are right",
    ]
