"""How the definitions of some files ask for each other."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from headrace.cli.campaign_references import campaign_findings
from headrace.cli.document import Document, Finding
from headrace.contracts.errors import Problem
from headrace.contracts.segment import Definition, ListDefinition, StagesDefinition
from headrace.contracts.segment_references import reference_problems, references
from headrace.contracts.trait import TraitDefinition
from headrace.contracts.trait_references import computed_asked


def reference_findings(documents: Sequence[Document]) -> tuple[list[Finding], list[Finding]]:
    """What is wrong, such as a circle; and, as notes, what is asked for and in none of the files: it may be there
    already where they are applied."""
    definitions = list(_definitions(documents))
    known: dict[str, Definition] = {definition.id: definition for _, definition in definitions}
    provided = {segment.id for definition in known.values() for segment in definition.segments()}
    traits = {one.parsed.id for one in documents if isinstance(one.parsed, TraitDefinition)}
    wrong: list[Finding] = []
    notes: list[Finding] = []
    elsewhere: dict[str, Definition] = {}
    for document, definition in definitions:
        for path, asked in references(definition):
            if asked not in provided and asked not in known:
                notes.append(Finding(document.file, document.number, _note(path, asked, provided)))
                elsewhere[asked] = ListDefinition(id=asked, name=asked)
        lacking = [_note("when", f"computed.{key}", traits) for key in sorted(computed_asked(definition) - traits)]
        notes += [Finding(document.file, document.number, note) for note in lacking]
    for document, definition in definitions:
        if isinstance(definition, StagesDefinition) or any(references(definition)):
            problems = reference_problems(definition, known | elsewhere)
            wrong += [Finding(document.file, document.number, problem) for problem in problems]
    more_wrong, more_notes = campaign_findings(documents)
    return wrong + more_wrong, notes + more_notes


def _note(path: str, asked: str, provided: Iterable[str]) -> Problem:
    near = get_close_matches(asked, sorted(provided), n=1)
    hint = f"did you mean {near[0]}?" if near else "it must be there before these are applied"
    return Problem(path, f"{asked} is in none of these files", hint)


def asked_first(documents: Iterable[Document]) -> list[Document]:
    """Each definition after those that it asks for; the order otherwise as given. Circles end somewhere."""
    documents = list(documents)
    owner = {segment.id: place for place, one in _placed(documents) for segment in one.segments()}
    asks = {place: [owner.get(asked) for _, asked in references(one)] for place, one in _placed(documents)}
    done: dict[int, None] = {}
    opened: set[int] = set()
    waiting = list(range(len(documents)))[::-1]
    while waiting:
        place = waiting[-1]
        before = [one for one in asks.get(place, ()) if one is not None and one not in opened]
        if place in opened or not before:
            done.setdefault(waiting.pop())
        else:
            waiting += before[::-1]
        opened.add(place)
    return [documents[place] for place in done]


def _placed(documents: Sequence[Document]) -> Iterator[tuple[int, Definition]]:
    for place, document in enumerate(documents):
        if isinstance(document.parsed, Definition):
            yield place, document.parsed


def _definitions(documents: Sequence[Document]) -> Iterator[tuple[Document, Definition]]:
    return ((documents[place], definition) for place, definition in _placed(documents))
