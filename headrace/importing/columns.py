"""The columns of a file: where they stand, how their cells are cleaned, which are missing."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter

from headrace.contracts.errors import InvalidDefinition, Problem
from headrace.contracts.model_problems import nearest
from headrace.importing.mapping_values import Clean
from headrace.importing.rows import Row

_MARKS = {";": "';'", "\t": '"\\t"', "|": "'|'", ",": "','"}
_BORDER = "\x1f"
_MOST_SHOWN = 30
_LONGEST_SHOWN = 60


class BadRow(Exception):
    """The receipt cannot be imported because of this line's cell in `column`."""

    def __init__(self, line: int, column: str, reason: str) -> None:
        self.line = line
        self.column = column
        super().__init__(reason)


class Columns:
    """Where each column stands and how its cells are cleaned; remembers what is asked for and missing."""

    def __init__(self, header: Sequence[str], clean: Mapping[str, Clean]) -> None:
        self.width = len(header)
        self._header = [name.strip() for name in header]
        self._index = {name: i for i, name in enumerate(self._header)}
        self._asked: dict[str, None] = dict.fromkeys(clean)
        self._clean = clean
        self._cuts = [
            (self._index[name], how.strip_prefix, how.strip_suffix)
            for name, how in clean.items()
            if name in self._index
        ]

    def cell(self, name: str) -> Callable[[Row], str]:
        """Reads the column's cell from a cleaned row."""
        self._asked[name] = None
        index = self._index.get(name)
        return itemgetter(index) if index is not None else lambda row: ""

    def receipt_reader(self, names: Sequence[str]) -> Callable[[Row], str | None]:
        """Reads from a row as the file has it which receipt it belongs to; None when it stands alone."""
        width, cells = self.width, [self._uncleaned(name) for name in names]
        alone = cells[0]
        if len(cells) == 1:
            return lambda row: (alone(row) or None) if len(row) == width else None

        def read(row: Row) -> str | None:
            found = [cell(row) for cell in cells] if len(row) == width else [""]
            return None if "" in found else _BORDER.join(found)

        return read

    def _uncleaned(self, name: str) -> Callable[[Row], str]:
        self.cell(name)
        index, how = self._index.get(name, 0), self._clean.get(name)
        if how is None:
            return lambda row: row[index].strip()
        prefix, suffix = how.strip_prefix, how.strip_suffix
        return lambda row: row[index].strip().removeprefix(prefix).removesuffix(suffix)

    def cleaned(self, cells: Row) -> list[str]:
        """The cells without the blanks around them and without what is to be cut."""
        row = [cell.strip() for cell in cells]
        for index, prefix, suffix in self._cuts:
            row[index] = row[index].removeprefix(prefix).removesuffix(suffix)
        return row

    def check(self) -> None:
        """Raises InvalidDefinition for columns that are asked for and not there, or there twice."""
        problems = [
            Problem(name, "stands twice in the file's header", "rename one, or name all of them in csv.columns")
            for name in self._asked
            if self._header.count(name) > 1
        ]
        missing = [name for name in self._asked if name not in self._index]
        problems += [Problem(name, "is no column of the file", self._suggestion(name)) for name in missing]
        if problems:
            raise InvalidDefinition(problems)

    def _suggestion(self, name: str) -> str:
        if self.width == 1:
            for mark, written in _MARKS.items():
                if mark in self._header[0]:
                    return f"the header is one column with {written} in it: set csv.delimiter: {written}"
        folded = {known.casefold(): known for known in reversed(self._header)}
        if meant := nearest(name.casefold(), folded):
            return f"did you mean {folded[meant]}?"
        known = ", ".join(column[:_LONGEST_SHOWN] for column in self._header[:_MOST_SHOWN])
        return f"it has: {known}; name the columns of a file without a header line in csv.columns"
