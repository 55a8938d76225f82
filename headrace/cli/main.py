"""The `headrace` command: a client of the services' HTTP APIs. An error is one line and exit code 1."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from headrace.cli import dead_letters, definitions, export, inspection, processes, repair, rfm
from headrace.cli.access_commands import add_access_commands
from headrace.cli.demo.command import run_demo
from headrace.cli.deployment import Deployment
from headrace.cli.importing.command import Options, run_import
from headrace.cli.link_keys import link_keys
from headrace.cli.output import open_console
from headrace.cli.segment_commands import add_segment_commands
from headrace.cli.up import up as run_up
from headrace.cli.voucher_commands import vouchers
from headrace.contracts.errors import HeadraceError

app = typer.Typer(
    help="Headrace: events flow in, customers' records and segments turn at once, messages go out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
topics = typer.Typer(help="The topics of the event log.", no_args_is_help=True)
app.add_typer(topics, name="topics")
letters = typer.Typer(help="What could not be processed.", no_args_is_help=True)
app.add_typer(letters, name="dead-letters")
scores = typer.Typer(help="The cut points of RFM scores: show them, or have them computed.")
app.add_typer(scores, name="rfm")
app.add_typer(vouchers, name="vouchers")
app.add_typer(link_keys, name="link-keys")

Files = Annotated[list[Path], typer.Option("--file", "-f", help="A definition file; may be repeated.")]
MoreFiles = Annotated[list[Path] | None, typer.Argument(help="Further definition files.", metavar="[FILE]...")]
KindName = Annotated[
    str,
    typer.Argument(help="trait, segment, list, stages, survey, vouchers, campaign or template.", metavar="KIND"),
]


@app.command()
def up() -> None:
    """Run everything on this machine: embedded engines and all services. Ctrl-C stops it."""
    raise typer.Exit(run_up())


@app.command()
def serve(name: Annotated[str, typer.Argument(help="ingest, profiles, segmenter, messenger or console.")]) -> None:
    """Run one service in this process; its settings are HEADRACE_* variables."""
    processes.serve(name)


@app.command()
def migrate() -> None:
    """Bring the database's schemas up to date."""
    processes.migrate()


@app.command()
def restored() -> None:
    """Say that the database was restored from a backup. Services stopped; safe to repeat. docs/backup.md."""
    processes.restored(os.environ)


@topics.command("create")
def create_topics() -> None:
    """Create the topics that are missing and check the settings of the others."""
    processes.create_topics(os.environ)


@app.command()
def lint(file: Files, more: MoreFiles = None) -> None:
    """Check definition files without a server; exit code 1 when something is wrong."""
    raise typer.Exit(definitions.lint([*file, *(more or [])], open_console()))


@app.command()
def apply(
    file: Files,
    more: MoreFiles = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when every segment is live.")] = False,
    patience: Annotated[float, typer.Option(help="With --wait: give up after so many seconds.")] = 120.0,
    diff: Annotated[bool, typer.Option("--diff", help="Say before who enters and who leaves.")] = False,
) -> None:
    """Put traits, segments, surveys, campaigns and templates in force. All are checked before any is sent."""
    files, deployment, console = [*file, *(more or [])], Deployment.of(os.environ), open_console()
    before = partial(inspection.show_diff, deployment=deployment, console=console) if diff else None
    definitions.apply(files, deployment, console, wait=patience if wait else None, before=before)


@app.command()
def get(kind: KindName, id: Annotated[str | None, typer.Argument(metavar="[ID]")] = None) -> None:
    """Show a definition, or list all of a kind."""
    definitions.get(kind, id, Deployment.of(os.environ), open_console())


@app.command()
def delete(kind: KindName, id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Delete a definition."""
    definitions.delete(kind, id, Deployment.of(os.environ), open_console())


add_segment_commands(app)
add_access_commands(app)


@app.command("export")
def export_members(
    segment: Annotated[str, typer.Argument(metavar="SEGMENT")],
    form: Annotated[str, typer.Option("--format", help="csv or ndjson.")] = "csv",
    output: Annotated[Path | None, typer.Option(help="A file; else the standard output.")] = None,
    at: Annotated[str | None, typer.Option(help="Who was a member then, as 2026-01-31T12:00:00Z.")] = None,
) -> None:
    """Write a segment's members with their identifiers."""
    deployment = Deployment.of(os.environ)
    export.export(segment, deployment, sys.stdout.buffer, form=form, output=output, at=at)


@app.command("import")
def import_file(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="CSV with --mapping, or NDJSON; plain or gzip."),
    ],
    mapping: Annotated[Path | None, typer.Option(help="How a CSV's columns become messages (YAML).")] = None,
    rejected: Annotated[Path | None, typer.Option(help="Where to list rejected rows.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, send nothing.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Do not go on where an earlier run ended.")] = False,
    patience: Annotated[float, typer.Option(help="Give up after so many seconds without success.")] = 300.0,
) -> None:
    """Import history. Safe to repeat; goes on where it was interrupted; never triggers messages.

    Exit code 0: all accepted. 3: finished, but rows were rejected. 1: ended early; run it again.
    """
    options = Options(files, mapping, rejected, dry_run, restart, patience)
    raise typer.Exit(run_import(options, Deployment.of(os.environ), open_console()))


@letters.command("list")
def list_dead_letters(
    reason: Annotated[str | None, typer.Option(help="Only those with this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a line, with the bytes.")] = False,
) -> None:
    """List dead letters, the newest first."""
    dead_letters.show(Deployment.of(os.environ), open_console(), reason=reason, limit=limit, as_json=as_json)


@letters.command("replay")
def replay_dead_letters(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Dead letters by id.")] = None,
    reason: Annotated[str | None, typer.Option(help="All with this reason.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All.")] = False,
) -> None:
    """Put dead letters through again. Safe to repeat; exit code 1 when one is refused again."""
    deployment = Deployment.of(os.environ)
    raise typer.Exit(
        dead_letters.replay(deployment, open_console(), ids=ids or [], reason=reason, everything=everything)
    )


@scores.callback(invoke_without_command=True)
def show_rfm(context: typer.Context) -> None:
    """Show the cut points in use, and how many customers each class has."""
    if context.invoked_subcommand is None:
        rfm.show(Deployment.of(os.environ), open_console())


@scores.command("compute")
def compute_rfm(
    segment: Annotated[str | None, typer.Option(help="Only what this segment is scored by; else all.")] = None,
    patience: Annotated[float, typer.Option(help="Give up waiting after so many seconds.")] = 600.0,
) -> None:
    """Compute cut points now. They are computed every hour anyway; segments follow what has moved."""
    rfm.compute(Deployment.of(os.environ), open_console(), segment=segment, patience=patience)


@app.command()
def republish(
    partition: Annotated[int, typer.Option(min=0, help="The output partition.")],
    from_seq: Annotated[int, typer.Option(min=1, help="The first number to publish again.")],
    service: Annotated[str, typer.Option(help="Whose outputs: profiles, segmenter or messenger.")] = "profiles",
) -> None:
    """Publish outputs again, for a receiver that reports a gap; the others drop what they have."""
    repair.republish(
        Deployment.of(os.environ), open_console(), service=service, partition=partition, from_seq=from_seq
    )


@app.command()
def rebuild(
    partition: Annotated[int | None, typer.Option(min=0, help="Only this partition; else all.")] = None,
    wait: Annotated[bool, typer.Option(help="Return when it is done.")] = True,
    patience: Annotated[float, typer.Option(help="Give up waiting after so many seconds.")] = 3_600.0,
) -> None:
    """Recompute the segmenter's state from history. Nothing is published twice."""
    repair.rebuild(
        Deployment.of(os.environ), open_console(), partition=partition, patience=patience if wait else None
    )


@app.command()
def demo() -> None:
    """Replay a real shop's orders on a temporary platform; watch segments and messages appear. Ends by itself."""
    run_demo(Console())


def main() -> NoReturn:
    """Run the command and exit."""
    try:
        app()
    except HeadraceError as error:
        sys.stderr.write(f"headrace: {error}\n")
    sys.exit(1)


if __name__ == "__main__":
    main()
