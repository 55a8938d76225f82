"""The commands on segments: look behind membership, what a change would do, versions, static lists."""

import os
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli import inspection, lists, versions
from headrace.cli.deployment import Deployment
from headrace.cli.output import open_console

Segment = Annotated[str, typer.Argument(metavar="SEGMENT")]
Members = Annotated[
    list[str], typer.Argument(help="Profile ids and type:value, or a CSV or NDJSON file.", metavar="MEMBER...")
]
Key = Annotated[str | None, typer.Option(help="Idempotency key: a repetition with it changes nothing.")]

members = typer.Typer(help="The members of a static list.", no_args_is_help=True)


def add_segment_commands(app: typer.Typer) -> None:
    for command in (explain, preview, diff, verify):
        app.command()(command)
    app.command("versions")(show_versions)
    app.command()(restore)
    app.add_typer(members, name="list")


def explain(
    segment: Segment,
    profile: Annotated[
        str, typer.Argument(help="A profile's id, or an identifier as type:value.", metavar="PROFILE")
    ],
) -> None:
    """Show why a customer is in a segment or not: each condition, its value, the events that decided."""
    inspection.explain(segment, profile, Deployment.of(os.environ), open_console())


def preview(file: Annotated[Path, typer.Option("--file", "-f", help="A file with segments.")]) -> None:
    """Count the customers that the segments of a file would have now."""
    inspection.preview(file, Deployment.of(os.environ), open_console())


def diff(
    file: Annotated[list[Path], typer.Option("--file", "-f", help="A file with segments; may be repeated.")],
) -> None:
    """Show who would enter and who would leave if the segments of a file were applied now."""
    inspection.diff(file, Deployment.of(os.environ), open_console())


def verify(
    segments: Annotated[list[str] | None, typer.Argument(metavar="[SEGMENT]...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every live segment.")] = False,
    sample: Annotated[str | None, typer.Option(help="A share (0.1) or a number (500) of customers.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Have whoever differs put right.")] = False,
) -> None:
    """Compare members with a second computation from history; exit code 1 when they differ."""
    deployment = Deployment.of(os.environ)
    raise typer.Exit(
        inspection.verify(
            segments or [], deployment, open_console(), everything=everything, sample=sample, repair=repair
        )
    )


def show_versions(segment: Segment) -> None:
    """List the versions of a segment, the newest first."""
    versions.versions(segment, Deployment.of(os.environ), open_console())


def restore(segment: Segment, version: Annotated[int, typer.Argument(min=1, metavar="VERSION")]) -> None:
    """Put what a version of a segment said, as a new version."""
    versions.restore(segment, version, Deployment.of(os.environ), open_console())


@members.command("add")
def add_members(list_id: Annotated[str, typer.Argument(metavar="LIST")], who: Members, key: Key = None) -> None:
    """Put customers on a static list; exit code 1 when somebody is unknown."""
    raise typer.Exit(lists.change("add", list_id, who, Deployment.of(os.environ), open_console(), key=key))


@members.command("remove")
def remove_members(list_id: Annotated[str, typer.Argument(metavar="LIST")], who: Members, key: Key = None) -> None:
    """Take customers off a static list; exit code 1 when somebody is unknown."""
    raise typer.Exit(lists.change("remove", list_id, who, Deployment.of(os.environ), open_console(), key=key))
