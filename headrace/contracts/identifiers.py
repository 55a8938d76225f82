"""Identifier types and the placeholders that are never an identifier."""

USER_ID = "user_id"
ANONYMOUS_ID = "anonymous_id"
EMAIL = "email"
PHONE = "phone"

_PLACEHOLDERS = frozenset(
    {
        "",
        "null",
        "undefined",
        "none",
        "nan",
        "-1",
        "anonymous",
        "[object object]",
        "(null)",
        "nil",
        "void",
        "unknown",
    }
)


def is_placeholder(value: str) -> bool:
    """True for what broken clients send instead of an id: `null`, `undefined`, `0`, all zeros, empty.

    `test`, `user` and `guest` are ordinary ids.
    """
    folded = value.strip().lower()
    return folded in _PLACEHOLDERS or not folded.strip("0-")
