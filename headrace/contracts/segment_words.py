"""What was probably meant by a word that is not known."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

MAX_WORD = 100  # no key is longer; what is compared or told of a wrong one

# What people write instead, from other products, spreadsheets and SQL. The first that is known where it stands.
_MEANT: Mapping[str, tuple[str, ...]] = {
    **{"=": ("eq",), "==": ("eq",), "!=": ("ne",), "<>": ("ne",), ">": ("gt",), "<": ("lt",)},
    **{">=": ("gte",), "=>": ("gte",), "<=": ("lte",), "=<": ("lte",), "ge": ("gte",), "le": ("lte",)},
    **{"is": ("eq",), "equals": ("eq",), "equal": ("eq",), "is_not": ("ne",), "not_equal": ("ne",)},
    **{"at_least": ("gte",), "min": ("gte",), "at_most": ("lte",), "max": ("lte",), "value": ("eq",)},
    **{"more_than": ("gt",), "less_than": ("lt",), "one_of": ("in",), "any_of": ("in", "any")},
    **{"none_of": ("not_in", "not"), "regex": ("matches",), "like": ("contains",), "prefix": ("starts_with",)},
    **{"suffix": ("ends_with",), "is_set": ("exists",), "present": ("exists",), "range": ("between",)},
    **{"and": ("all",), "or": ("any",), "none": ("not",), "all_of": ("all",)},
    **{"attribute": ("trait",), "property": ("path", "of", "trait"), "profile": ("trait",)},
    **{"field": ("path", "of", "name"), "key": ("path", "of", "name"), "trait": ("name",)},
    **{"event": ("name",), "events": ("name", "event"), "name": ("event", "id", "of", "path", "channel")},
    **{"filter": ("where",), "filters": ("where",), "properties": ("where",), "with": ("where",)},
    **{"window": ("within",), "last": ("within", "within_last"), "days": ("within",), "since": ("within",)},
    **{"in_last": ("within", "within_last"), "period": ("within",), "duration": ("for", "within")},
    **{"next": ("then", "within_next"), "birthday": ("anniversary",), "followed_by": ("then",)},
    **{"not_followed_by": ("then_not",), "then-not": ("then_not",), "step": ("steps",), "path": ("of", "name")},
    **{"average": ("avg",), "mean": ("avg",), "total": ("sum",), "number": ("count",), "unique": ("distinct",)},
    **{"list": ("segment",), "in_segment": ("segment",), "static_list": ("segment",), "random": ("percent",)},
    **{"split": ("percent",), "near": ("geo",), "location": ("geo",), "campaign": ("message",)},
    **{"day": ("weekday",), "days_of_week": ("weekday",), "weekdays": ("weekday",), "time": ("hours",)},
    **{"tz": ("timezone",), "zone": ("timezone",), "radius": ("within_km",), "km": ("within_km",)},
    **{"response": ("did",), "action": ("did",), "status": ("is", "did"), "condition": ("when",)},
    **{"title": ("name",), "key_path": ("by",), "group_by": ("by",), "expire": ("expires",)},
}


def meant(written: object, known: Iterable[str]) -> str | None:
    """The one of `known` that was probably meant."""
    words = sorted(known)
    text = shown(written).strip().lower()
    for word in (text, text.replace("-", "_"), text.replace("_", "-"), text.rstrip("_")):
        if word in words:
            return word
    for word in _MEANT.get(text.replace(" ", "_"), ()):
        if word in words:
            return word
    near = get_close_matches(text, words, 1, 0.6)
    return near[0] if near else None


def suggested(written: object, known: Iterable[str]) -> str:
    """The suggestion for a word that is not one of `known`."""
    words = sorted(known)
    word = meant(written, words)
    return f"did you mean {word}?" if word else f"known: {', '.join(words)}"


def shown(written: object) -> str:
    """A key or a value as it may stand in a message."""
    return str(written)[:MAX_WORD] if isinstance(written, str | float | bool | None) else _number(written)


def _number(written: object) -> str:
    # of an integer with thousands of digits Python makes no text
    return str(written) if isinstance(written, int) and abs(written) < 10**MAX_WORD else type(written).__name__
