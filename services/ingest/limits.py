"""How large a request and an event may be (reference values: Segment's and RudderStack's, each settable)."""

from dataclasses import dataclass, replace
from typing import Any

from services.ingest.rejection import Rejected

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes are counted after decompression. The groups: request, event, its shape, imported events, texts."""

    body_bytes: int = 4 * MIB
    import_bytes: int = 32 * MIB
    batch_events: int = 500

    event_bytes: int = 32 * KIB

    depth: int = 20
    keys: int = 1_000

    import_event_bytes: int = 512 * KIB
    import_keys: int = 20_000

    text_bytes: int = 8 * KIB
    id_bytes: int = 256
    message_id_chars: int = 100
    event_name_chars: int = 128

    def of_import(self) -> "Limits":
        """History comes whole: a wholesaler's invoice has a thousand lines, and nobody can send it smaller."""
        return replace(self, event_bytes=self.import_event_bytes, keys=self.import_keys)


DEFAULT_LIMITS = Limits()


def check_shape(raw: bytes, decoded: object, limits: Limits) -> None:
    """Raise Rejected when `decoded` (read from `raw`) is too deep, has too many keys or too long a text.

    Counting bytes bounds all three from above, so that an ordinary event is never walked.
    """
    if raw.count(b"{") + raw.count(b"[") > limits.depth or raw.count(b":") > limits.keys:
        _check_containers(decoded, limits)
    if len(raw) > limits.text_bytes:
        _check_texts(decoded, limits)


def _check_containers(root: Any, limits: Limits) -> None:
    """Level by level: an order with a hundred lines is wide, not deep."""
    keys = 0
    level = [root]
    for _ in range(limits.depth):
        below: list[Any] = []
        for node in level:
            if type(node) is dict:
                keys += len(node)
                node = node.values()
            below += [value for value in node if type(value) is dict or type(value) is list]
        level = below
    if level:
        raise Rejected("too_deep", f"Nest at most {limits.depth} levels.", malformed=True)
    if keys > limits.keys:
        raise Rejected("too_many_keys", f"Send at most {limits.keys} keys in an event.", malformed=True)


def _check_texts(root: Any, limits: Limits) -> None:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            _check_text(node, limits)
        elif isinstance(node, dict):
            waiting += node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _check_text(text: str, limits: Limits) -> None:
    if len(text) > limits.text_bytes or (
        len(text) * 4 > limits.text_bytes and len(text.encode()) > limits.text_bytes
    ):
        raise Rejected("text_too_long", f"Shorten texts to {limits.text_bytes} bytes.")
