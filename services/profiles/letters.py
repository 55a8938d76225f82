"""Dead letters of an erased person: found by what named them, and taken out of the log where it can do that."""

from collections.abc import Iterable, Sequence

import msgspec

from headrace.contracts.dead_letter import DeadLetter
from headrace.contracts.identifiers import PHONE
from headrace.log.port import Log, OffsetOutOfRange, Record
from services.profiles.identity import Identifier

_READ = 16  # a letter may have a megabyte
_NATIONAL_DIGITS = 9
_PUNCTUATION = b" -.()/"

_letters = msgspec.json.Decoder(DeadLetter)


async def erase_letters(log: Log, topic: str, partitions: Iterable[int], names: Sequence[Identifier]) -> int:
    """Take out the letters that name the person; how many that were. Where the log cannot, they end by retention.
    Raises LogError."""
    if not names:
        return 0
    erased = 0
    for q in partitions:
        offsets = await _mentioning(log, topic, q, names)
        if offsets and await log.erase(topic, q, offsets):
            erased += len(offsets)
    return erased


async def _mentioning(log: Log, topic: str, q: int, names: Sequence[Identifier]) -> list[int]:
    bounds = await log.bounds(topic, q)
    offset, found = bounds.begin, list[int]()
    while offset < bounds.end:
        try:
            records = await log.read(topic, q, offset, max_records=_READ)
        except OffsetOutOfRange:  # trimmed just now
            offset = max(offset + 1, (await log.bounds(topic, q)).begin)
            continue
        if not records:
            break
        found += [record.offset for record in records if mentions(record, names)]
        offset = records[-1].offset + 1
    return found


def mentions(record: Record, names: Iterable[Identifier]) -> bool:
    """Whether the letter, or what was refused, names one of these: as a whole JSON text, or as the record's key. A
    phone number by its last digits, however it is written."""
    texts = [record.value or b"", *_refused(record)]
    lowered = b"\x00".join(texts).lower()
    key = (record.key or b"").decode(errors="replace").lower()
    for kind, value in names:
        if value.lower() == key or msgspec.json.encode(value.lower()) in lowered:
            return True
        if kind == PHONE and value[-_NATIONAL_DIGITS:].encode() in lowered.translate(None, _PUNCTUATION):
            return True
    return False


def _refused(record: Record) -> list[bytes]:
    """The refused bytes: they stand in the letter in Base64."""
    try:
        letter = _letters.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [letter.raw, *(value for _, value in letter.headers)]
