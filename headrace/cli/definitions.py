"""`headrace lint`, `apply`, `get` and `delete`: definitions from files to the services and back."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from headrace.cli.client import Service
from headrace.cli.deployment import Deployment
from headrace.cli.document import Document, Finding
from headrace.cli.documents import KINDS, Kind, in_order, read_documents
from headrace.cli.references import reference_findings
from headrace.contracts.errors import HeadraceError

_LOOK_EVERY = 0.1


class Invalid(HeadraceError):
    """Definitions are wrong, so nothing was done. The message lists every problem."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("nothing was done:\n" + "\n".join(f"  {finding}" for finding in findings))


class NotLive(HeadraceError):
    """A segment did not come to life. `headrace get segment ID` shows its state."""


class UnknownKind(HeadraceError):
    """There is no such kind of definition."""


def lint(files: Sequence[Path], console: Console) -> int:
    """Print every problem, and what the files ask for and do not hold; 1 if there is a problem."""
    documents, findings = read_documents(files)
    wrong, notes = reference_findings(documents)
    for finding in [*findings, *wrong]:
        say(console, str(finding))
    if not findings:  # what is asked for may stand in a document that is wrong
        for note in notes:
            say(console, f"note: {note}")
    if findings or wrong:
        return 1
    say(console, f"{len(documents)} definitions are right")
    return 0


def apply(
    files: Sequence[Path],
    deployment: Deployment,
    console: Console,
    *,
    wait: float | None,
    before: Callable[[Document], None] | None = None,
) -> None:
    """Put every definition, those named by others first; nothing when one of them is wrong. `before` is called
    with each that has members."""
    documents, findings = read_documents(files)
    findings += reference_findings(documents)[0]
    if findings:
        raise Invalid(findings)
    for document in documents:
        if document.kind not in KINDS:
            say(
                console,
                f"{document.file}:{document.number} {document.kind}: right, but read from its file, not applied",
            )
    for document in in_order(documents):
        kind = KINDS[document.kind]
        if before is not None and kind.moves:
            before(document)
        answer = put(document, deployment)
        if wait is not None and kind.service == "segmenter":
            answer = await_live(deployment, f"{kind.path}/{document.id}", answer["version"], wait)
        version = f" version {answer['version']}" if answer.get("version") is not None else ""
        say(console, f"{document.kind} {document.id}{version} {answer.get('status') or answer.get('state') or ''}")


def put(document: Document, deployment: Deployment) -> dict[str, Any]:
    kind = KINDS[document.kind]
    answer: dict[str, Any] = Service(deployment, kind.service).put(f"{kind.path}/{document.id}", document.content)
    return answer


def await_live(
    deployment: Deployment,
    path: str,
    version: int,
    patience: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Wait until this version (or a later one) of the definition at `path` is live. Raises NotLive."""
    service = Service(deployment, "segmenter")
    deadline = clock() + patience
    while True:
        answer: dict[str, Any] = service.get(path)
        status = answer["status"]
        if status == "live" and answer["version"] >= version:
            return answer
        if status == "failed" or clock() > deadline:
            what = path.removeprefix("/v1/").replace("s/", " ", 1)
            raise NotLive(f"{what} version {version} is {status}, not live; see the segmenter's log")
        sleep(_LOOK_EVERY)


def get(kind_name: str, id: str | None, deployment: Deployment, console: Console) -> None:
    """One definition as YAML, or the list of all of a kind."""
    kind = kind_of(kind_name)
    service = Service(deployment, kind.service)
    if id is not None:
        answer = service.get(f"{kind.path}/{id}")
        say(console, yaml.safe_dump(answer, sort_keys=False, allow_unicode=True).rstrip())
        return
    table = Table("id", "name", "version", "status", "size", box=None, pad_edge=False)
    for item in service.items(kind.path):
        if kind is not KINDS["segment"] and item.get("kind", kind.name) != kind.name:
            continue  # the segmenter lists all of its kinds; they are all segments
        cells = (item.get("id"), item.get("name"), item.get("version"), item.get("status") or item.get("state"))
        table.add_row(*("" if cell is None else str(cell) for cell in (*cells, item.get("size"))))
    console.print(table)


def delete(kind_name: str, id: str, deployment: Deployment, console: Console) -> None:
    kind = kind_of(kind_name)
    Service(deployment, kind.service).delete(f"{kind.path}/{id}")
    say(console, f"{kind.name} {id} deleted")


def kind_of(name: str) -> Kind:
    """The kind by its name, singular or plural."""
    kind = KINDS.get(name) or KINDS.get(name.removesuffix("s"))
    if kind is None:
        raise UnknownKind(f"there is no kind {name!r}; the kinds are {', '.join(KINDS)}")
    return kind


def say(console: Console, line: str) -> None:
    """A plain line: nothing in it is markup, and it is not cut to the terminal's width."""
    console.print(line.rstrip(), highlight=False, markup=False, soft_wrap=True)
