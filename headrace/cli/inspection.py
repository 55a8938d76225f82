"""`headrace explain`, `preview`, `diff`, `verify`: what a segment says of a customer, of everybody, of itself."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from headrace.cli.client import Refused, Service
from headrace.cli.definitions import Invalid, say
from headrace.cli.deployment import Deployment
from headrace.cli.documents import KINDS, Document, in_order, read_documents
from headrace.cli.explanation import render, render_difference
from headrace.contracts.errors import HeadraceError

_NOT_LIVE = 409


class WhichSegments(HeadraceError):
    """Name segments, or say --all."""


class NoSample(HeadraceError):
    """A sample is a share (0.1) or a number of customers (500)."""


def explain(segment: str, customer: str, deployment: Deployment, console: Console) -> None:
    """`customer` is a profile's id, or an identifier as `type:value`."""
    profile = _profile_id(customer, deployment)
    answer = Service(deployment, "segmenter").get(f"/v1/segments/{segment}/explain/{profile}")
    console.print(render(answer))


def preview(file: Path, deployment: Deployment, console: Console) -> None:
    """How many customers each segment of the file would have now, and how many would have a value of each computed
    trait, without putting it in force."""
    segmenter = Service(deployment, "segmenter")
    for document in _kept([file]):
        if not KINDS[document.kind].moves:
            _preview_trait(document, segmenter, console)
            continue
        answer = segmenter.post("/v1/segments/preview", document.content, timeout=None)
        say(console, f"{document.kind} {document.id} would have {answer['count']} members")
        for stage in answer.get("stages", ()):
            say(console, f"  {stage['id']} {stage['count']}")


def _preview_trait(document: Document, segmenter: Service, console: Console) -> None:
    answer = segmenter.post("/v1/traits/preview", document.content, timeout=None)
    say(console, f"trait {document.id} would have a value for {answer['count']} customers")
    for one in answer["most_common"]:
        say(console, f"  {one['value']} {one['count']}")


def diff(files: Sequence[Path], deployment: Deployment, console: Console) -> None:
    """Who would enter and leave each segment of the files if it were applied now. Segments that one of the files
    names must be there already."""
    for document in _segments(files):
        show_diff(document, deployment, console)


def show_diff(document: Document, deployment: Deployment, console: Console) -> None:
    answer = Service(deployment, "segmenter").post(
        f"/v1/segments/{document.id}/diff", document.content, timeout=None
    )
    say(console, f"{document.kind} {document.id}: {_moves(answer)}")
    for stage in answer.get("stages", ()):
        say(console, f"  {stage['id']}: {_moves(stage)}")
    for word in ("entering", "leaving"):
        if sample := answer[f"sample_{word}"]:
            more = ", …" if len(sample) < answer[word] else ""
            say(console, f"  {word}: {', '.join(sample)}{more}")
    if answer["dependents"]:
        say(console, f"  asked for by {', '.join(answer['dependents'])}")


def verify(
    segments: Sequence[str],
    deployment: Deployment,
    console: Console,
    *,
    everything: bool = False,
    sample: str | None = None,
    repair: bool = False,
) -> int:
    """Compare live membership with the second evaluator; 1 when they differ. With `repair` whoever differs is put
    right by the stream, soon."""
    if bool(segments) is everything:
        raise WhichSegments("name segments, or say --all")
    segmenter = Service(deployment, "segmenter")
    body = {"sample": _sample(sample), "repair": repair}
    mismatches = 0
    for segment in _live(segmenter) if everything else segments:
        try:
            answer = segmenter.post(f"/v1/segments/{segment}/verify", body, timeout=None)
        except Refused as error:
            if not everything or error.status != _NOT_LIVE:
                raise
            say(console, f"segment {segment}: {error}")
            continue
        mismatches += answer["mismatches"]
        _show_verified(segment, answer, console)
    return 1 if mismatches else 0


def _show_verified(segment: str, answer: dict[str, Any], console: Console) -> None:
    skipped = f", {answer['skipped']} skipped" if answer["skipped"] else ""
    asked = f", {answer['repairs']} put right" if answer["repairs"] else ""
    counted = f"{answer['checked']} compared, {answer['mismatches']} differ"
    say(console, f"segment {segment}: {counted}{skipped}{asked}")
    for example in answer["examples"]:
        console.print(render_difference(example))


def _live(segmenter: Service) -> Iterator[str]:
    return (item["id"] for item in segmenter.items("/v1/segments", status="live"))


def _sample(text: str | None) -> float | int | None:
    if text is None:
        return None
    try:
        number = float(text)
        return int(text) if text.isdecimal() else number
    except ValueError as error:
        raise NoSample(f"{text!r} is neither a share (0.1) nor a number of customers (500)") from error


def _segments(files: Iterable[Path]) -> list[Document]:
    """The files' segments, lists and stages, those named by others first."""
    return [document for document in _kept(files) if KINDS[document.kind].moves]


def _kept(files: Iterable[Path]) -> list[Document]:
    """The files' definitions that the segmenter keeps, those named by others first."""
    documents, findings = read_documents(files)
    if findings:
        raise Invalid(findings)
    return [document for document in in_order(documents) if KINDS[document.kind].service == "segmenter"]


def _moves(answer: dict[str, Any]) -> str:
    return f"{answer['entering']} would enter, {answer['leaving']} leave, {answer['staying']} stay"


def _profile_id(customer: str, deployment: Deployment) -> str:
    kind, colon, value = customer.partition(":")
    if not colon:
        return customer
    found: dict[str, Any] = Service(deployment, "profiles").get("/v1/profiles/lookup", type=kind, value=value)
    return str(found["id"])
