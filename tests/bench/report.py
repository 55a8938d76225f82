"""What a benchmark found: each figure beside its limit, as a table and as JSON. Nothing asserts a time."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One measured rate or time. `limit` is the best that can be had here for the same work, measured in the same
    run on the same core; `against` says what it is. A figure without a limit stands for itself."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    against: str = ""

    @property
    def ratio(self) -> float | None:
        """`value` as a part of the limit; how many times the limit, for a time."""
        return self.value / self.limit if self.limit else None


class Report(msgspec.Struct):
    """The figures of one benchmark. `setting` says on what they were taken."""

    bench: str
    setting: str
    figures: list[Figure]

    def table(self) -> str:
        """The figures, one a line, aligned."""
        rows = [("", "", "unit", "limit", "ratio", "limit is")]
        rows += [
            (
                figure.name,
                _number(figure.value),
                figure.unit,
                "" if figure.limit is None else _number(figure.limit),
                "" if figure.ratio is None else f"{figure.ratio:.2f}",
                figure.against,
            )
            for figure in self.figures
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        lines = (
            f"{row[0]:{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:{widths[2]}}  {row[3]:>{widths[3]}}"
            f"  {row[4]:>{widths[4]}}  {row[5]}".rstrip()
            for row in rows
        )
        return "\n".join([f"== {self.bench}: {self.setting}", *lines])


def options(description: str | None) -> ArgumentParser:
    """The arguments that every benchmark has."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    return parser


def present(run: Callable[[Namespace], Report], parser: ArgumentParser, arguments: Sequence[str] | None) -> None:
    """Run one benchmark as a command."""
    given = parser.parse_args(arguments)
    report = run(given)
    print(report.table(), flush=True)
    if given.json is not None:
        write_json(given.json, [report])


def write_json(path: Path, reports: Sequence[Report]) -> None:
    """The reports with their ratios, which readers should not have to work out."""
    documents = msgspec.to_builtins(reports)
    for document, report in zip(documents, reports, strict=True):
        for entry, figure in zip(document["figures"], report.figures, strict=True):
            entry["ratio"] = figure.ratio
    path.write_bytes(msgspec.json.format(msgspec.json.encode(documents), indent=2) + b"\n")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"
