"""messageIds for events that came without one."""

import uuid
from collections.abc import Callable


def new_message_id(millis: int, random: Callable[[int], bytes]) -> str:
    """A UUIDv7 of the instant: sorts by time, so that the indexes of deduplication stay compact."""
    number = (millis & (2**48 - 1)) << 80 | int.from_bytes(random(10), "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=number))
