"""`headrace export`: the members of a segment as CSV or NDJSON, to a file or the standard output."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from headrace.cli.client import Service
from headrace.cli.deployment import Deployment
from headrace.contracts.errors import HeadraceError

FORMATS = ("csv", "ndjson")


class NotExported(HeadraceError):
    """What was asked for was not written."""


def export(
    segment: str, deployment: Deployment, stdout: BinaryIO, *, form: str, output: Path | None, at: str | None
) -> None:
    """Write the members there are now, or were `at` an instant. A file appears only when it is whole. Raises
    NotExported, or what the segmenter refused."""
    if form not in FORMATS:
        raise NotExported(f"there is no format {form!r}; one of {', '.join(FORMATS)} is")
    pieces = Service(deployment, "segmenter").download(
        f"/v1/segments/{quote(segment, safe='')}/members.{form}", **({} if at is None else {"at": at})
    )
    write(pieces, stdout, output)


def write(pieces: Iterator[bytes], stdout: BinaryIO, output: Path | None) -> None:
    """To `output`, which appears only when it is whole, or else to `stdout`. Raises NotExported."""
    if output is None:
        _write(pieces, stdout)
        return
    partial = output.with_name(f"{output.name}.part")
    try:
        with partial.open("wb") as file:
            _write(pieces, file)
        os.replace(partial, output)
    except OSError as error:
        raise NotExported(f"cannot write {output}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def _write(pieces: Iterator[bytes], to: BinaryIO) -> None:
    for piece in pieces:
        to.write(piece)
    to.flush()
