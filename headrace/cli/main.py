"""The `headrace` command."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headrace.cli.deployment import Deployment
from headrace.cli.importing.command import Options, run_import
from headrace.contracts.errors import HeadraceError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def headrace() -> None:
    """Headrace: events in, segments and messages out."""


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV or NDJSON, plain or gzip.")],
    mapping: Annotated[Path | None, typer.Option(help="How a CSV's columns become messages (YAML).")] = None,
    rejected: Annotated[Path | None, typer.Option(help="Where to list rejected rows.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, send nothing.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Do not go on where an earlier run ended.")] = False,
    patience: Annotated[float, typer.Option(help="Give up after so many seconds without success.")] = 300.0,
) -> None:
    """Import history. Safe to repeat; goes on where it was interrupted; never triggers messages."""
    options = Options(file, mapping, rejected, dry_run, restart, patience)
    raise typer.Exit(run_import(options, Deployment.of(os.environ), Console()))


def main() -> None:
    """Run the command; an error is one line on stderr and exit code 1."""
    try:
        app()
    except HeadraceError as error:
        print(f"headrace: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    main()
