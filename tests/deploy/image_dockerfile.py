"""Reading a Dockerfile: stages and instructions, with the variables of Docker's own syntax put in."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S+))?\s+")


@dataclass(frozen=True, slots=True)
class Instruction:
    """`word` in capitals; `text` is what follows the flags, continued lines joined; `line` counts from 1."""

    word: str
    flags: Mapping[str, str]
    text: str
    line: int

    def words(self) -> list[str]:
        """The arguments: of the JSON form, or as a shell would split them."""
        return list(json.loads(self.text)) if self.text.startswith("[") else shlex.split(self.text)

    def pairs(self) -> dict[str, str]:
        """Of ENV, LABEL and ARG: names and values."""
        return dict(word.partition("=")[::2] for word in self.words())


@dataclass(slots=True)
class Stage:
    """What one FROM begins. `name` is empty for one that has none."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> list[Instruction]:
        return [item for item in self.instructions if item.word == word]

    def last(self, word: str) -> Instruction:
        """The one that counts of CMD, USER, WORKDIR, …. Raises IndexError when there is none."""
        return self.all(word)[-1]

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """What ENV leaves in the environment `given` of the base image."""
        values = dict(given)
        for instruction in self.all("ENV"):
            values |= {name: substitute(value, values) for name, value in instruction.pairs().items()}
        return values


def parse(text: str) -> list[Stage]:
    """The stages in their order. Raises ValueError for an instruction before the first FROM that is not ARG."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for instruction in _instructions(text):
        if instruction.word == "FROM":
            base, *rest = substitute(instruction.text, arguments).split()
            stages.append(Stage(base, rest[1] if rest else ""))
        elif stages:
            stages[-1].instructions.append(instruction)
        elif instruction.word == "ARG":
            arguments |= instruction.pairs()
        else:
            raise ValueError(f"line {instruction.line}: {instruction.word} stands before FROM")
    return stages


def substitute(text: str, values: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` replaced; what is not set is empty."""
    return _VARIABLE.sub(lambda match: values.get(match[1] or match[2], ""), text)


def _instructions(text: str) -> list[Instruction]:
    found: list[Instruction] = []
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (line.strip() or pending):
            continue
        start = start if pending else number
        pending += line.removesuffix("\\").strip() + " "
        if not line.endswith("\\"):
            found.append(_instruction(pending.strip(), start))
            pending = ""
    return found


def _instruction(line: str, number: int) -> Instruction:
    word, _, rest = line.partition(" ")
    flags: dict[str, str] = {}
    rest = rest.lstrip()
    while match := _FLAG.match(rest):
        flags[match[1]] = match[2] or ""
        rest = rest[match.end() :]
    return Instruction(word.upper(), flags, rest, number)
