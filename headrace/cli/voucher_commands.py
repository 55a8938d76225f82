"""The commands on voucher pools: codes are uploaded, and written to a file with what became of them."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli import voucher_codes
from headrace.cli.deployment import Deployment
from headrace.cli.output import open_console

PoolId = Annotated[str, typer.Argument(metavar="POOL")]

vouchers = typer.Typer(help="The codes of a voucher pool.", no_args_is_help=True)


@vouchers.command()
def upload(
    pool: PoolId, file: Annotated[Path, typer.Argument(help="One code a line, or a CSV with codes first.")]
) -> None:
    """Add codes to a pool. Safe to repeat; exit code 1 when a line has no code."""
    raise typer.Exit(voucher_codes.upload(pool, file, Deployment.of(os.environ), open_console()))


@vouchers.command()
def export(
    pool: PoolId,
    status: Annotated[str | None, typer.Option(help="Only free, assigned, redeemed or expired ones.")] = None,
    output: Annotated[Path | None, typer.Option(help="A file; else the standard output.")] = None,
) -> None:
    """Write a pool's codes as CSV, with whom they were given to and what became of them."""
    voucher_codes.export(pool, Deployment.of(os.environ), sys.stdout.buffer, status=status, output=output)
