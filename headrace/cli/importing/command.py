"""`headrace import`: files of history into `POST /v1/import`."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from headrace.cli.deployment import Deployment
from headrace.cli.importing.checkpoint import Checkpoint
from headrace.cli.importing.progress import progress
from headrace.cli.importing.report import Report
from headrace.cli.importing.run import Run, Source, open_source
from headrace.cli.importing.source import digest

ROWS_REJECTED = 3
_EXCERPT_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for. `patience`: seconds without success after which a request gives up."""

    files: Sequence[Path]
    mapping: Path | None = None
    rejected: Path | None = None
    dry_run: bool = False
    restart: bool = False
    patience: float = 300.0


def run_import(options: Options, deployment: Deployment, console: Console) -> int:
    """0 when everything was accepted, ROWS_REJECTED when not. Raises HeadraceError when it ended early."""
    address = deployment.url("ingest")
    checkpoint = Checkpoint(
        deployment.data_dir,
        file_digest=digest(options.files),
        mapping_digest=digest([options.mapping]) if options.mapping else "",
        address=address,
    )
    start = 0 if options.restart or options.dry_run else checkpoint.load()
    report_path = options.rejected or options.files[0].with_name(options.files[0].name + ".rejected.csv")
    started = time.monotonic()
    source = open_source(options.files, options.mapping)
    with (
        Report(report_path, source.lines.place, resumed=start > 0) as report,
        progress(console, "import", source.rows) as advance,
    ):
        run = Run(source, start, report, advance)
        if options.dry_run:
            for _ in run.messages():
                pass
        else:
            asyncio.run(run.send(address, deployment.write_key(), options.patience, checkpoint))
    _summarise(console, source, run, report, time.monotonic() - started, options.dry_run)
    return ROWS_REJECTED if report.rows else 0


def _excerpt(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    return text if len(text) <= _EXCERPT_CHARS else f"{text[:_EXCERPT_CHARS]}… ({len(body)} bytes)"


def _summarise(console: Console, source: Source, run: Run, report: Report, seconds: float, dry_run: bool) -> None:
    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    rows = source.rows
    done = f"{run.read} messages ready, nothing was sent" if dry_run else f"{run.accepted} messages accepted"
    if dry_run:
        for message in run.first:
            say(_excerpt(message.body))
    rate = rows / seconds if seconds else 0.0
    say(f"{rows} rows: {done}, {report.rows} rows rejected, in {seconds:.1f} s ({rate:.0f} rows/s)")
    if run.start:
        say(f"went on after the first {run.start} messages, which an earlier run had sent")
    if run.largest:
        say(f"largest message: {run.largest} bytes")
    if report.first:
        first = report.first
        file, line = report.place(first.line)
        several = len(source.lines.files) > 1
        where = (f"{file}, " if several else "") + f"line {line}" + (f", {first.column}" if first.column else "")
        say(f"rejected rows are listed in {report.path}; the first: {where}: {first.reason}")
