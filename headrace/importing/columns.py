"""The columns of a file: where they stand, how their cells are cleaned, which are missing."""

from collections.abc import Callable, Sequence

from headrace.importing.grouping import Row
from headrace.importing.mapping import Clean
from headrace.contracts.errors import InvalidDefinition, Problem


class BadRow(Exception):
    """The receipt cannot be imported because of this line's cell in `column`."""

    def __init__(self, line: int, column: str, reason: str) -> None:
        self.line = line
        self.column = column
        super().__init__(reason)


class Columns:
    """Where each column stands and how its cells are cleaned; remembers what is missing."""

    def __init__(self, header: Sequence[str], clean: dict[str, Clean]) -> None:
        self.width = len(header)
        self._header = [name.strip() for name in header]
        self._index = {name: i for i, name in enumerate(self._header)}
        self._clean = clean
        self._missing = {name: None for name in clean if name not in self._index}

    def cell(self, name: str) -> Callable[[Row], str]:
        if name not in self._index:
            self._missing[name] = None
            return lambda row: ""
        index = self._index[name]
        clean = self._clean.get(name)
        if clean is None:
            return lambda row: row[index].strip()
        prefix, suffix = clean.strip_prefix, clean.strip_suffix
        return lambda row: row[index].strip().removeprefix(prefix).removesuffix(suffix)

    def check(self) -> None:
        twice = {name for name in self._header if self._header.count(name) > 1}
        problems = [Problem(name, "stands twice in the file's header", "rename one") for name in sorted(twice)]
        known = ", ".join(self._header)
        problems += [Problem(name, "is no column of the file", f"it has: {known}") for name in self._missing]
        if problems:
            raise InvalidDefinition(problems)
