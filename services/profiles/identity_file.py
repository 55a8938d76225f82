"""Reads the identity rules from their file. What is wrong in it is said with its place and what to write."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import re2
import yaml
from phonenumbers import SUPPORTED_REGIONS

from headrace.contracts.errors import SettingsError
from headrace.contracts.identifiers import USER_ID
from headrace.contracts.instant import Millis
from headrace.contracts.segment_values import duration_ms
from services.profiles.identity_rules import (
    DEFAULT_RULES,
    Blocked,
    IdentityRules,
    Party,
    Quarantine,
    SourceRule,
    TypeRule,
)
from services.profiles.normalise import identifier_type

EVER = "ever"
_PARTIES = get_args(Party)


def read_rules(path: str | None) -> IdentityRules:
    """The rules of the file, or the defaults without one. Raises SettingsError."""
    if path is None:
        return DEFAULT_RULES
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"HEADRACE_IDENTITY={path!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise SettingsError(f"HEADRACE_IDENTITY={path!r} is no YAML: {error}") from error
    try:
        return parse_rules(document)
    except ValueError as error:
        raise SettingsError(f"HEADRACE_IDENTITY={path!r}: {error}") from error


def parse_rules(document: object) -> IdentityRules:
    """Raises ValueError with the place and what to write there."""
    given = _object("the file", {} if document is None else document)
    _known("the file", given, ("identifiers", "blocked", "quarantine", "sources", "traits"))
    types = {
        _type(f"identifiers.{kind}", kind): _rule(f"identifiers.{kind}", kind, rule)
        for kind, rule in _object("identifiers", given.get("identifiers", {})).items()
    }
    return IdentityRules(
        types,
        blocked=_blocked(given.get("blocked", {})),
        quarantine=_quarantine(given.get("quarantine", {})),
        sources={
            name: _source(f"sources.{name}", source)
            for name, source in _object("sources", given.get("sources", {})).items()
        },
        trait_sources={
            trait: _sources(f"traits.{trait}", named)
            for trait, named in _object("traits", given.get("traits", {})).items()
        },
    )


def _rule(place: str, kind: str, value: object) -> TypeRule:
    given, default = _object(place, value), DEFAULT_RULES.of(kind)
    _known(place, given, ("priority", "hard", "limit", "within", "weak"))
    rule = TypeRule(
        priority=_whole(f"{place}.priority", given.get("priority", default.priority), 0),
        hard=_flag(f"{place}.hard", given.get("hard", default.hard)),
        limit=_whole(f"{place}.limit", given.get("limit", default.limit), 1),
        within=_period(f"{place}.within", given["within"]) if "within" in given else default.within,
        weak=_flag(f"{place}.weak", given.get("weak", default.weak)),
    )
    if kind == USER_ID and not rule.hard:
        raise ValueError(f"{place}.hard: two user ids are always two customers; leave it out")
    if not rule.hard:
        return rule
    if given.get("limit", 1) != 1 or given.get("within", EVER) != EVER:
        raise ValueError(
            f"{place}: a hard type has one value ever; leave out limit and within, or write hard: false"
        )
    return TypeRule(priority=rule.priority, hard=True, limit=1, within=None, weak=rule.weak)


def _blocked(value: object) -> dict[str, Blocked]:
    """A list is for all types; by type, each has a list."""
    lists = {"*": value} if isinstance(value, list) else _object("blocked", value)
    return {kind: _blocked_values(f"blocked.{kind}", entries) for kind, entries in lists.items()}


def _blocked_values(place: str, entries: object) -> Blocked:
    if not isinstance(entries, list):
        raise ValueError(f"{place} must be a list of values and of {{pattern: …}}")
    values, patterns = set[str](), list[str]()
    for number, entry in enumerate(entries):
        if isinstance(entry, str):
            values.add(entry.strip().lower())
            continue
        pattern = _object(f"{place}.{number}", entry).get("pattern")
        if not isinstance(pattern, str):
            raise ValueError(f"{place}.{number} must be a text in quotes, or {{pattern: a regular expression}}")
        try:
            re2.compile(pattern)
        except re2.error as error:
            raise ValueError(f"{place}.{number}.pattern is no regular expression of RE2: {error}") from error
        patterns.append(pattern)
    return Blocked(frozenset(values), tuple(patterns))


def _quarantine(value: object) -> Quarantine:
    given, default = _object("quarantine", value), DEFAULT_RULES.quarantine
    _known("quarantine", given, ("links", "within"))
    within = _period("quarantine.within", given["within"]) if "within" in given else default.within
    if within is None:
        raise ValueError("quarantine.within must be a duration such as 1h")
    return Quarantine(_whole("quarantine.links", given.get("links", default.links), 1), within)


def _source(place: str, value: object) -> SourceRule:
    given = _object(place, value)
    _known(place, given, ("region", "party", "trait_priority"))
    region, party = given.get("region"), given.get("party", "first")
    if region is not None and region not in SUPPORTED_REGIONS:
        raise ValueError(f"{place}.region must be an ISO country code such as CZ")
    if party not in _PARTIES:
        raise ValueError(f"{place}.party must be one of {', '.join(_PARTIES)}")
    return SourceRule(region, party, _whole(f"{place}.trait_priority", given.get("trait_priority", 0), -1_000))


def _sources(place: str, named: object) -> list[str]:
    if not isinstance(named, list) or not named or not all(isinstance(one, str) for one in named):
        raise ValueError(f"{place} must be a list of sources, the one that counts most first, such as [crm, web]")
    if len(set(named)) != len(named):
        raise ValueError(f"{place} names a source twice: leave one out")
    return named


def _type(place: str, kind: str) -> str:
    if identifier_type(kind) != kind:
        raise ValueError(f"{place}: a type has 1 to 64 visible characters")
    return kind


def _object(place: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{place} must be an object of names and values")
    return value


def _known(place: str, given: Mapping[str, Any], names: Iterable[str]) -> None:
    wanted = list(names)
    for name in given:
        if name not in wanted:
            near = get_close_matches(name, wanted, 1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(wanted)}"
            raise ValueError(f"{place}: {name} is not known; {hint}")


def _whole(place: str, value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 1_000_000:
        raise ValueError(f"{place} must be a whole number from {least} to 1000000")
    return value


def _flag(place: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{place} must be true or false")
    return value


def _period(place: str, value: object) -> Millis | None:
    """None: ever."""
    if value == EVER:
        return None
    try:
        return duration_ms(value)  # type: ignore[arg-type]  # what is no text is refused like a wrong one
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{place} must be {EVER} or a duration such as 30m, 24h or 365d") from error
