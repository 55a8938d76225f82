"""A row of a table, with where it stands."""

from collections.abc import Sequence
from typing import NamedTuple

Row = Sequence[str]


class NumberedRow(NamedTuple):
    """A row with the line of the file on which it ends."""

    line: int
    cells: Row
