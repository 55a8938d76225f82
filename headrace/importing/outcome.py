"""What reading a file yields: messages ready to send, and rows that cannot be."""

import msgspec


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A message ready to send. `lane` keeps one customer's messages in order; `rows` is how many rows of the
    file it stands for, `line` the first of them."""

    line: int
    rows: int
    lane: str
    message_id: str
    body: bytes


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """A row, or the receipt that begins there, that was not imported, and why."""

    line: int
    column: str
    reason: str
    message_id: str = ""
    rows: int = 1
