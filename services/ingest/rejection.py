"""Why one event was not accepted. A rejected event goes to the dead letters; the rest of its batch goes on."""

from headrace.contracts.errors import HeadraceError


class Rejected(HeadraceError):
    """One event is refused. `code` is a slug from a closed set, `detail` says what to change.

    `malformed` marks what a strict JSON reader refuses or what threatens one (depth, keys, duplicates): sent
    alone it is answered 400, inside a batch it is a dead letter like the others.
    """

    def __init__(self, code: str, detail: str, *, malformed: bool = False) -> None:
        self.code = code
        self.detail = detail
        self.malformed = malformed
        self.message_id: str | None = None
        super().__init__(f"{code}: {detail}")
