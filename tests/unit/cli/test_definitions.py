"""`headrace lint`, `apply`, `get` and `delete` against a stand-in service."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from headrace.cli import definitions
from headrace.cli.client import Refused, Unreachable
from headrace.cli.deployment import Deployment
from headrace.cli.documents import read_documents
from headrace.cli.shipped import example
from tests.unit.cli.fake_admin import FakeAdmin, serving

SEGMENT = "kind: segment\nid: vip\nname: VIP\nwhen: {trait: {name: plan, eq: gold}}\n"
TEMPLATE = "kind: template\nid: hello\nchannel: sms\ntext: Hello\n"
CAMPAIGN = """kind: campaign
id: greet
name: Greet
trigger: {segment: vip, on: entered}
steps: [{send: {channels: [sms], template: hello}}]
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
    urls = {f"HEADRACE_{name}_URL": admin.url for name in ("SEGMENTER", "MESSENGER", "PROFILES")}
    return Deployment.of({**urls, "HEADRACE_ADMIN_TOKEN": "secret"})


def write(tmp_path: Path, *documents: str, name: str = "d.yaml") -> Path:
    file = tmp_path / name
    file.write_text("---\n".join(documents), encoding="utf-8")
    return file


def test_apply_puts_what_is_named_before_what_names_it(tmp_path: Path, admin: FakeAdmin, console: Console) -> None:
    file = write(tmp_path, CAMPAIGN, SEGMENT, TEMPLATE)
    definitions.apply([file], deployment(admin), console, wait=None)
    assert list(admin.kept) == ["/v1/templates/hello", "/v1/segments/vip", "/v1/campaigns/greet"]
    assert admin.authorizations == {"Bearer secret"}
    assert "segment vip version 1 live" in said(console)


def test_apply_waits_until_a_segment_is_live(tmp_path: Path, admin: FakeAdmin, console: Console) -> None:
    admin.status = ["backfilling", "backfilling", "live"]
    definitions.apply([write(tmp_path, SEGMENT)], deployment(admin), console, wait=10)
    assert said(console) == "segment vip version 1 live\n"


@pytest.mark.parametrize("status", ["failed", "backfilling"])
def test_apply_says_when_a_segment_does_not_come_to_life(
    tmp_path: Path, admin: FakeAdmin, console: Console, status: str
) -> None:
    admin.status = [status]
    with pytest.raises(definitions.NotLive, match=f"vip version 1 is {status}"):
        definitions.apply([write(tmp_path, SEGMENT)], deployment(admin), console, wait=0)


def test_nothing_is_applied_when_one_definition_is_wrong(
    tmp_path: Path, admin: FakeAdmin, console: Console
) -> None:
    good, bad = write(tmp_path, SEGMENT), write(tmp_path, CAMPAIGN.replace("sms", "fax"), name="bad.yaml")
    with pytest.raises(definitions.Invalid, match=r"bad\.yaml:1 steps"):
        definitions.apply([good, bad], deployment(admin), console, wait=None)
    assert admin.kept == {}


def test_get_lists_over_all_pages(tmp_path: Path, admin: FakeAdmin, console: Console) -> None:
    file = write(tmp_path, SEGMENT, SEGMENT.replace("vip", "vip2"), SEGMENT.replace("vip", "vip3"))
    definitions.apply([file], deployment(admin), Console(file=io.StringIO()), wait=None)
    definitions.get("segments", None, deployment(admin), console)
    assert [line.split()[0] for line in said(console).splitlines()] == ["id", "vip", "vip2", "vip3"]


def test_get_one_is_yaml(tmp_path: Path, admin: FakeAdmin, console: Console) -> None:
    definitions.apply([write(tmp_path, SEGMENT)], deployment(admin), Console(file=io.StringIO()), wait=None)
    definitions.get("segment", "vip", deployment(admin), console)
    assert said(console).startswith("kind: segment\nid: vip\nname: VIP\n")


def test_delete(tmp_path: Path, admin: FakeAdmin, console: Console) -> None:
    definitions.apply([write(tmp_path, SEGMENT)], deployment(admin), console, wait=None)
    definitions.delete("segment", "vip", deployment(admin), console)
    assert admin.kept == {}
    with pytest.raises(Refused, match="There is no such definition"):
        definitions.delete("segment", "vip", deployment(admin), console)


def test_the_services_problems_are_told_one_by_one(admin: FakeAdmin, console: Console) -> None:
    problems = [{"path": "when", "reason": "is missing", "suggestion": "add it"}]
    admin.refuse = 400, {}, {"success": False, "code": "x", "message": "no", "problems": problems}
    with pytest.raises(Refused, match="when: is missing: add it"):
        definitions.get("segment", "vip", deployment(admin), console)


def test_a_service_that_is_away_is_named(console: Console) -> None:
    with serving(FakeAdmin()) as gone:
        pass
    with pytest.raises(Unreachable, match="is `headrace up` running"):
        definitions.get("segment", "vip", deployment(gone), console)


def test_an_unknown_kind_names_those_there_are(admin: FakeAdmin, console: Console) -> None:
    with pytest.raises(definitions.UnknownKind, match="template, segment, list, stages, campaign"):
        definitions.get("audience", None, deployment(admin), console)


def test_lint_accepts_every_shipped_example(console: Console) -> None:
    files = [example("policy.yaml"), *sorted(example("segments").parent.glob("*/*.yaml"))]
    documents, _ = read_documents(files)
    assert len(documents) > len(files) > 40
    assert definitions.lint(files, console) == 0
    assert said(console) == f"{len(documents)} definitions are right\n"


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            "kind: audience\n",
            ":1 kind: names no kind of definition (write one of trait, survey, policy, vouchers, block,",
        ),
        ("- 1\n", ":1 kind: names no kind of definition"),
        ("kind: segment\nid: a\nname: A\n", ":1 when: is missing (add when: {event: {name: Order Completed}})"),
        (
            SEGMENT + "---\n" + SEGMENT.replace("eq", "is"),
            ":2 when.trait.is: is not known here (did you mean eq",
        ),
        (SEGMENT + "---\nkind: list\nid: b\nnam: B\n", ":2 nam: is not known here (did you mean name?)"),
        ("kind: import\nmessage: {}\n", ":1 message: timestamp is missing"),
        ("a: [\n", " line "),
        ("kind: list\nid: a\nid: b\n", " line 3, column 1: id is there twice ("),
        (SEGMENT + "---\n" + SEGMENT, ":2 id: segment vip is defined twice (remove one, or give it another id)"),
        (SEGMENT + "---\nkind: list\nid: vip\nname: V\n", ":2 id: list vip is defined twice ("),
    ],
)
def test_lint_tells_file_path_reason_and_suggestion(
    tmp_path: Path, console: Console, text: str, finding: str
) -> None:
    file = write(tmp_path, text)
    assert definitions.lint([file], console) == 1
    assert f"{file}{finding}" in said(console)


def test_lint_names_a_missing_file(tmp_path: Path, console: Console) -> None:
    assert definitions.lint([tmp_path / "no.yaml"], console) == 1
    assert "no.yaml: cannot be read: No such file or directory\n" in said(console)


def test_a_file_without_a_definition_is_a_mistake(tmp_path: Path, console: Console) -> None:
    assert definitions.lint([write(tmp_path, "# later\n")], console) == 1
    assert "d.yaml: has no definition in it" in said(console)
