"""Rows of one receipt, brought together. Files usually keep them adjacent; some do not.

A first pass over the file learns where each receipt ends, so the second pass holds back only those whose
lines are apart, and memory stays small whatever the size of the file.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from headrace.contracts.errors import HeadraceError
from headrace.importing.rows import NumberedRow, Row

ReceiptOf = Callable[[Row], str | None]
MAX_HELD_ROWS = 500_000


class TooScattered(HeadraceError):
    """The lines of receipts are too far apart to be held in memory. Sort the file by the receipt column."""


@dataclass(slots=True)
class Survey:
    """What the first pass learnt: how many rows there are, and the last line of each receipt whose lines are
    not adjacent, by the hash of its id (equal hashes only hold a receipt a little longer)."""

    rows: int = 0
    ends: dict[int, int] = field(default_factory=dict)


def survey(rows: Iterable[NumberedRow], receipt_of: ReceiptOf | None) -> Survey:
    """Look over all rows. `receipt_of` gives a row's receipt or None if it names none; pass None when every row
    stands alone."""
    result = Survey()
    seen: set[int] = set()
    previous: int | None = None
    for row in rows:
        result.rows += 1
        name = receipt_of(row.cells) if receipt_of else None
        if name is None:
            continue
        receipt = hash(name)
        if receipt == previous and receipt not in result.ends:
            continue
        if receipt in seen:
            result.ends[receipt] = row.line
        seen.add(receipt)
        previous = receipt
    return result


def grouped(
    rows: Iterable[NumberedRow], receipt_of: ReceiptOf | None, found: Survey, *, max_held: int = MAX_HELD_ROWS
) -> Iterator[list[NumberedRow]]:
    """The receipts in the order of their last lines, each with its rows in the file's order.

    A row that names no receipt comes alone. Raises TooScattered when more than `max_held` rows wait for the
    rest of their receipts.
    """
    apart = _Apart(found.ends, max_held)
    current: list[NumberedRow] = []
    current_name: str | None = None
    for row in rows:
        name = receipt_of(row.cells) if receipt_of else None
        if name is None:
            yield [row]
            continue
        if name != current_name:
            if current:
                yield current
            current, current_name = [], name
        if hash(name) not in found.ends:
            current.append(row)
        elif done := apart.add(name, row):
            yield done
    if current:
        yield current


class _Apart:
    """Receipts whose lines are not adjacent, held until their last line."""

    def __init__(self, ends: dict[int, int], max_held: int) -> None:
        self._ends = ends
        self._max_held = max_held
        self._held = 0
        self._rows: dict[str, list[NumberedRow]] = {}

    def add(self, name: str, row: NumberedRow) -> list[NumberedRow] | None:
        """Hold the row; the whole receipt if this was its last line."""
        self._rows.setdefault(name, []).append(row)
        self._held += 1
        if self._held > self._max_held:
            raise TooScattered(
                f"line {row.line}: more than {self._max_held} rows wait for the rest of their receipts; sort the "
                "file by the column that group_by names"
            )
        if row.line < self._ends[hash(name)]:
            return None
        done = self._rows.pop(name)
        self._held -= len(done)
        return done
