"""Who said a trait, and what the word of its source counts."""

from typing import Any

import msgspec
import pytest

from headrace.contracts.event import Event
from headrace.contracts.instant import format_instant
from headrace.contracts.survey import parse_survey
from headrace.log.port import Record
from services.profiles.answered_events import answered
from services.profiles.identity_file import parse_rules
from services.profiles.identity_rules import IdentityRules, SourceRule
from services.profiles.intake import Incoming, event_reader
from services.profiles.profile import Documents
from services.profiles.provenance import provenance
from services.profiles.stated import Stated, apply_stated
from services.profiles.traits import Stamp, apply_traits

NOW = 1_790_000_000_000
TASTE = parse_survey(
    {
        "kind": "survey",
        "id": "taste",
        "name": "Taste",
        "questions": [{"id": "cups", "text": "?", "type": "number", "trait": "cups"}],
    }
)


RULES = IdentityRules(
    sources={
        "crm": SourceRule(party="second", trait_priority=10),
        "bought": SourceRule(party="third", trait_priority=-5),
    },
    trait_sources={"email": ["till", "web"]},
)


def read(
    source: str,
    *,
    at: int,
    offset: int,
    event: str | None = None,
    traits: dict[str, Any] | None = None,
    properties: dict[str, Any] | None = None,
) -> Incoming:
    sent = Event(
        type="identify" if event is None else "track",
        event=event,
        message_id=f"m{offset}",
        source=source,
        timestamp=format_instant(at),
        received_at=format_instant(at),
        user_id="u1",
        traits=msgspec.Raw(msgspec.json.encode(traits or {})),
        properties=msgspec.Raw(msgspec.json.encode(properties or {})),
    )
    record = Record("cdp.events.v1", 3, offset, NOW, None, msgspec.json.encode(sent), ())
    return event_reader(None, RULES)(record)


def test_a_trait_is_told_with_who_said_it_and_when_whatever_came_later_from_whom_counts_less() -> None:
    traits: dict[str, Any] = {}
    stamps: dict[str, Stamp] = {}
    for incoming in (
        read("crm", at=NOW - 9, offset=1, traits={"plan": "gold"}),
        read("web", at=NOW - 5, offset=2, traits={"plan": "silver", "city": "Brno"}),
        read("bought", at=NOW - 1, offset=3, traits={"city": "Praha", "income": 3}),
    ):
        apply_traits(traits, stamps, incoming.traits, incoming.stamp)
    assert provenance(traits, stamps) == {
        "city": {"value": "Brno", "party": "first", "source": "web", "time": NOW - 5},
        "income": {"value": 3, "party": "third", "source": "bought", "time": NOW - 1},
        "plan": {"value": "gold", "party": "second", "source": "crm", "time": NOW - 9},
    }


def test_a_trait_may_have_sources_of_its_own_which_alone_decide() -> None:
    documents = Documents()
    for offset, source in enumerate(["till", "web", "crm", "web"]):
        sent = {"email": f"{source}@shop.test", "city": source}
        incoming = read(source, at=NOW - 9 + offset, offset=offset, traits=sent)
        apply_stated(documents, Stated(incoming.ts, incoming.stamp, incoming.traits, ranks=incoming.ranks))
    assert documents.traits == {"email": "till@shop.test", "city": "crm"}
    assert [documents.trait_times[name][0] for name in ("email", "city")] == [2, 10]


def test_of_what_was_written_before_sources_were_kept_only_the_time_is_known() -> None:
    told = provenance({"plan": "gold"}, {"plan": [NOW, NOW, 0, 7], "gone": [1, 1, 0, 1]})
    assert told == {"plan": {"value": "gold", "party": "first", "source": None, "time": NOW}}


def test_an_answer_that_somebody_passes_on_is_the_customers_word_and_counts_as_much_as_theirs() -> None:
    properties = {"survey": "taste", "question": "cups", "answer": "3"}
    incoming = read("crm", at=NOW - 1, offset=1, event="Survey Answered", properties=properties)
    assert incoming.traits == {}
    told = answered(incoming, {"taste": TASTE}, RULES)
    assert told.traits == {"cups": 3}
    assert told.stamp == [10, NOW - 1, NOW, 3, 1, "crm", "zero"]


def test_what_answers_no_question_that_is_defined_stays_an_event() -> None:
    for properties in (
        {"survey": "other", "question": "cups", "answer": 3},
        {"survey": "taste", "question": "other", "answer": 3},
        {"survey": "taste", "question": "cups", "answer": "many"},
        {"survey": "taste", "question": "cups"},
        {"answer": 3},
    ):
        incoming = read("web", at=NOW, offset=1, event="Survey Answered", properties=properties)
        assert answered(incoming, {"taste": TASTE}, RULES) is incoming
    assert (
        read("web", at=NOW, offset=1, event="Other", properties={"survey": "taste", "question": "c"}).answer
        is None
    )


def test_the_sources_of_a_trait_are_read_from_the_settings() -> None:
    document = {"sources": {"crm": {"trait_priority": 7}}, "traits": {"email": ["till", "crm"]}}
    rules = parse_rules(document)
    named = [(source, trait) for source in ("till", "crm", "web") for trait in ("email", "city")]
    assert [rules.trait_priority(*one) for one in named] == [2, 0, 1, 7, 0, 0]
    assert rules.overruled("web", ["city", "email"]) == {"email": 0}


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("crm", r"traits\.email must be a list of sources"),
        ([], r"traits\.email must be a list of sources"),
        ([1], r"traits\.email must be a list of sources"),
        (["crm", "crm"], r"traits\.email names a source twice"),
    ],
)
def test_what_is_wrong_with_them_is_said(named: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_rules({"traits": {"email": named}})
