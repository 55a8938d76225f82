"""Reads one input record into what the fold needs. Raises `Unreadable` for what is none (→ dead letter)."""

from collections.abc import Callable, Collection, Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from headrace.contracts.errors import HeadraceError
from headrace.contracts.event import Event
from headrace.contracts.headers import carried_trace
from headrace.contracts.identifiers import ANONYMOUS_ID, EMAIL, PHONE, USER_ID
from headrace.contracts.instant import Millis, parse_instant
from headrace.contracts.profile_event import ConsentStatus, EventRow, ExternalIdentifier
from headrace.log.port import Record
from services.profiles.consent import Proof, declared, is_declaration, proof_of
from services.profiles.identity import Identifier, strongest_first
from services.profiles.identity_rules import DEFAULT_RULES, IdentityRules
from services.profiles.normalise import identifier, identifier_type
from services.profiles.survey_answers import SURVEY_ANSWERED, SurveyAnswer, survey_answer
from services.profiles.tags import is_tagging, tagged
from services.profiles.traits import Stamp

_EMPTY = msgspec.Raw(b"{}")
_NOTHING: dict[str, Any] = {}  # one for all: nobody writes into what was read
_NAMED = frozenset({USER_ID, ANONYMOUS_ID, EMAIL, PHONE})


class Unreadable(HeadraceError):
    """The record cannot become a row of anybody's timeline. `reason` is the dead letter's slug."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


class Incoming(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One input record, ready for the fold.

    `key` is what it is deduplicated by: source and message id. `row` is its timeline row without profile,
    changed traits and numbers; `row.ts` is the sender's timestamp. `ts` is min(timestamp, log time): the instant
    that decides between writers, whatever the processing order. An event is addressed by its `identifiers`,
    strongest first, a message outcome by `addressed_to`, a profile id. `trusted`: its key is not public. `answer`
    is a survey's: what it means is in the definition. `ranks` are the priorities of traits that differ from the
    stamp's. `proof`: of the consents.
    """

    key: tuple[str, str]
    row: EventRow
    ts: Millis
    body_hash: int
    traceparent: str | None
    stamp: Stamp
    identifiers: tuple[Identifier, ...] = ()
    addressed_to: str | None = None
    traits: dict[str, Any] = {}
    consents: dict[str, ConsentStatus] = {}
    proof: Proof | None = None
    tags: dict[str, bool] = {}
    time_zone: str | None = None
    trusted: bool = True
    answer: SurveyAnswer | None = None
    ranks: dict[str, int] = {}


Reader = Callable[[Record], Incoming]


class _Context(msgspec.Struct, rename="camel", gc=False):
    """The parts of `context` that identity reads; any JSON may stand in them."""

    traits: Any = None
    external_ids: Any = None
    device: Any = None
    timezone: Any = None


_NO_CONTEXT = _Context()
_event = msgspec.json.Decoder(Event)
_context = msgspec.json.Decoder(_Context)
_object = msgspec.json.Decoder(dict[str, Any])


def event_reader(region: str | None, rules: IdentityRules = DEFAULT_RULES) -> Reader:
    """A reader of `cdp.events.v1`; `region` is where national phone numbers belong, if anywhere, unless
    the source has one of its own. `rules` also say what the word of a source counts."""

    def read(record: Record) -> Incoming:
        event = _decode(record)
        context = _read_context(event.context)
        traits = _traits(event, context)
        source = rules.source(event.source)
        where = source.region or region
        identifiers = _identifiers(event, context, traits, where, rules)
        if not identifiers:
            raise Unreadable("no_identifier", "no identifier is left after normalisation: send a real id")
        timestamp = _instant(event.timestamp)
        ts = min(timestamp, record.time)
        consents, proof = _consents(event)
        return Incoming(
            key=(event.source, event.message_id),
            row=_row(event, timestamp, _others(identifiers)),
            ts=ts,
            body_hash=_fingerprint(event),
            traceparent=carried_trace(record.headers),
            stamp=[
                source.trait_priority,
                *(ts, record.time, record.partition, record.offset),
                *(event.source, source.party),
            ],
            identifiers=strongest_first(identifiers, rules) if len(identifiers) > 1 else tuple(identifiers),
            traits=traits if event.type == "identify" else _NOTHING,
            consents=consents,
            proof=proof,
            tags=_tags(event),
            time_zone=context.timezone if isinstance(context.timezone, str) else None,
            trusted=event.trusted,
            answer=_answer(event),
            ranks=rules.overruled(event.source, traits) if event.type == "identify" else _NOTHING,
        )

    return read


def fingerprint(*parts: bytes) -> int:
    """64 bits of the content, signed: tells a retry from a messageId that was used twice."""
    digest = blake2b(b"\x1f".join(parts), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _decode(record: Record) -> Event:
    try:
        return _event.decode(record.value or b"")
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Unreadable("undecodable", f"not an event of cdp.events.v1: {error}") from error


def _instant(text: str) -> Millis:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise Unreadable("invalid_timestamp", f"timestamp: {error}") from error


def _read_context(raw: msgspec.Raw) -> _Context:
    if raw == _EMPTY:
        return _NO_CONTEXT
    try:
        return _context.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return _NO_CONTEXT


def _read_object(raw: msgspec.Raw) -> dict[str, Any]:
    if raw == _EMPTY:
        return _NOTHING
    try:
        return _object.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return _NOTHING


def _traits(event: Event, context: _Context) -> dict[str, Any]:
    """An identify sets traits: `context.traits` (all that RudderStack's servers send), overlaid by `traits`.
    Other calls carry traits only as a hint to who it is; a group's traits are the group's."""
    hints = context.traits if isinstance(context.traits, dict) else _NOTHING
    traits = _NOTHING if event.type == "group" else _read_object(event.traits)
    return {**hints, **traits} if hints and traits else hints or traits


def _identifiers(
    event: Event, context: _Context, traits: dict[str, Any], region: str | None, rules: IdentityRules
) -> Collection[Identifier]:
    found: dict[Identifier, None] = {}
    has_user = False
    for kind, value in _candidates(event, context, traits):
        # one event is about one customer: a further user id among the external ids names somebody else
        if value is None or (kind == USER_ID and has_user):
            continue
        canonical = identifier(kind, value, region)
        if canonical is not None and not rules.is_blocked(kind, canonical):
            has_user = has_user or kind == USER_ID
            found[kind, canonical] = None
    return found


def _candidates(event: Event, context: _Context, traits: dict[str, Any]) -> list[tuple[str, object]]:
    candidates: list[tuple[str, object]] = [(USER_ID, event.user_id), (ANONYMOUS_ID, event.anonymous_id)]
    if event.type == "alias":
        candidates.append((ANONYMOUS_ID, event.previous_id))
    if traits:
        candidates += (EMAIL, traits.get("email")), (PHONE, traits.get("phone"))
    if context.external_ids is not None:
        candidates.extend(_external_ids(context.external_ids))
    if context.device is not None:
        candidates.extend(_device(context.device))
    return candidates


def _external_ids(entries: object) -> Iterator[tuple[str, object]]:
    if not isinstance(entries, list):
        return
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("collection", "users") != "users":
            continue
        kind = identifier_type(entry.get("type"))
        if kind is not None:
            yield kind, entry.get("id")


def _device(device: object) -> Iterator[tuple[str, object]]:
    if isinstance(device, dict) and device.get("id") is not None:
        system = identifier_type(device.get("type"))
        yield (f"{system.lower()}.id" if system else "device.id"), device["id"]


def _consents(event: Event) -> tuple[dict[str, ConsentStatus], Proof | None]:
    if event.type != "track" or not is_declaration(event.event):
        return _NOTHING, None
    properties = _read_object(event.properties)
    consents = declared(str(event.event), properties)
    return consents, proof_of(properties) if consents else None


def _tags(event: Event) -> dict[str, bool]:
    if event.type != "track" or not is_tagging(event.event):
        return _NOTHING
    return tagged(str(event.event), _read_object(event.properties))


def _answer(event: Event) -> SurveyAnswer | None:
    if event.type != "track" or event.event != SURVEY_ANSWERED:
        return None
    return survey_answer(_read_object(event.properties))


def _others(identifiers: Collection[Identifier]) -> tuple[ExternalIdentifier, ...]:
    """Those for which a row has no place of their own."""
    return tuple([ExternalIdentifier(kind, value) for kind, value in identifiers if kind not in _NAMED])


def _row(event: Event, timestamp: Millis, external_ids: tuple[ExternalIdentifier, ...]) -> EventRow:
    return EventRow(
        seq=0,
        epoch=0,
        time=0,
        low=0,
        profile_id="",
        source=event.source,
        message_id=event.message_id,
        type=event.type,
        ts=timestamp,
        event=event.event,
        name=event.name,
        properties=event.properties,
        context=event.context,
        traits=_NOTHING,
        consents=_NOTHING,
        tags=_NOTHING,
        anonymous_id=event.anonymous_id,
        external_ids=external_ids,
        imported=event.imported,
        received_at=_instant(event.received_at),
    )


def _fingerprint(event: Event) -> int:
    text = (
        f"{event.type}\x1f{event.event or ''}\x1f{event.name or ''}\x1f"
        f"{event.user_id or ''}\x1f{event.anonymous_id or ''}\x1f{event.previous_id or ''}"
    )
    return fingerprint(text.encode("utf-8", "surrogatepass"), event.properties, event.traits)
