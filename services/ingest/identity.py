"""Which identifiers an event carries: cleaned, checked, placeholders dropped."""

import unicodedata
from typing import Any

from headrace.contracts.identifiers import is_placeholder
from services.ingest.limits import Limits
from services.ingest.rejection import Rejected

_LARGEST_EXACT_INT = 2**53 - 1  # beyond, JavaScript clients have already rounded

_FEWEST_DIGITS = 5  # of a phone number


def clean_id(value: object, field: str, limits: Limits) -> str | None:
    """The identifier as text: trimmed, NFC. None when it is absent, empty or a placeholder.

    Raises Rejected for what must not be guessed: other types, inexact numbers, control or invisible
    characters, more than `id_bytes`.
    """
    if value is None:
        return None
    text = _as_text(value, field).strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if not text.isprintable():
        _refuse_invisible(text, field)
    if len(text) * 4 > limits.id_bytes and len(text.encode()) > limits.id_bytes:
        raise Rejected("id_too_long", f"Shorten {field} to {limits.id_bytes} bytes.")
    return None if is_placeholder(text) else text


def _as_text(value: object, field: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_EXACT_INT:
        return str(value)
    raise Rejected("invalid_id", f"Send {field} as a text.")


def _refuse_invisible(text: str, field: str) -> None:
    # str.isprintable is also false for separators such as the no-break space, which are visible
    if any(unicodedata.category(char) in {"Cc", "Cf"} for char in text):
        raise Rejected("invalid_id", f"Remove control and invisible characters from {field}.")


def first_external_id(context: dict[str, Any], limits: Limits) -> tuple[str | None, int]:
    """The first usable id of `context.externalIds`, and how many placeholders stood there. All are checked."""
    entries = context.get("externalIds")
    if entries is None:
        return None, 0
    if not isinstance(entries, list):
        raise Rejected("invalid_external_ids", "Send context.externalIds as a list of {id, type}.")
    first: str | None = None
    dropped = 0
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str) or not entry["type"].strip():
            raise Rejected("invalid_external_ids", "Give each entry of context.externalIds an id and a type.")
        found = clean_id(entry.get("id"), "context.externalIds[].id", limits)
        clean_id(entry["type"], "context.externalIds[].type", limits)
        if found is None:
            dropped += 1
        elif first is None:
            first = found
    return first, dropped


def named_by_traits(fields: dict[str, Any], limits: Limits) -> str | None:
    """The e-mail address, else the phone number, among the traits: how a till or a CRM names somebody. None when
    there is neither, or nothing that could be one. What it really is the profile service decides."""
    context = fields.get("context") or {}
    for traits in (fields.get("traits") if fields.get("type") != "group" else None, context.get("traits")):
        if not isinstance(traits, dict):
            continue
        email, phone = (clean_id(_only_text(traits.get(name)), name, limits) for name in ("email", "phone"))
        if email is not None and "@" in email[1:-1]:
            return email
        if phone is not None and sum(map(str.isdigit, phone)) >= _FEWEST_DIGITS:
            return phone
    return None


def _only_text(value: object) -> object:
    """A trait may be anything."""
    return value if isinstance(value, str) and value.isprintable() else None


def contains_nul(fields: dict[str, Any]) -> bool:
    """True when an identifier of the decoded event contains U+0000 (elsewhere it is stripped)."""
    ids = [fields.get(name) for name in ("userId", "anonymousId", "messageId", "previousId", "groupId")]
    context = fields.get("context")
    external = context.get("externalIds") if isinstance(context, dict) else None
    if isinstance(external, list):
        ids.extend(entry.get("id") for entry in external if isinstance(entry, dict))
    return any(isinstance(value, str) and "\0" in value for value in ids)
