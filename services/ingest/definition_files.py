"""Definitions that ingest reads from files when it starts: plans of sources, mappings of imports."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from headrace.contracts.documents import load_documents
from headrace.contracts.errors import InvalidDefinition, Problem, SettingsError
from headrace.contracts.model_problems import near
from headrace.contracts.plan import PlanDefinition, parse_plan
from headrace.importing.mapping import Mapping, parse_mapping
from headrace.runtime.settings import Environment

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_PLANS = "HEADRACE_PLANS"
_MAPPINGS = "HEADRACE_MAPPINGS"


def load_plans(env: Environment, sources: Sequence[str]) -> list[PlanDefinition]:
    """The plans in the file or folder HEADRACE_PLANS, of which each source has at most one. Raises SettingsError
    with everything that is wrong."""
    plans: dict[str, PlanDefinition] = {}
    problems: list[str] = []
    for file, content in _documents(_PLANS, env.optional(_PLANS)):
        try:
            plan = parse_plan(content)
            _demand_place(plan, plans, sources)
        except InvalidDefinition as error:
            problems += [_told(file, problem) for problem in error.problems]
        else:
            plans[plan.source] = plan
    _demand_none(_PLANS, problems)
    return list(plans.values())


def load_mappings(env: Environment) -> dict[str, Mapping]:
    """The mappings in the file or folder HEADRACE_MAPPINGS by their files' names: till.yaml is `till`."""
    mappings: dict[str, Mapping] = {}
    problems: list[str] = []
    for file, content in _documents(_MAPPINGS, env.optional(_MAPPINGS)):
        try:
            if file.stem in mappings:
                raise InvalidDefinition([Problem("", "is the second mapping of this name", "one to a file")])
            mappings[file.stem] = parse_mapping(content)
        except InvalidDefinition as error:
            problems += [_told(file, problem) for problem in error.problems]
    _demand_none(_MAPPINGS, problems)
    return mappings


def _demand_place(plan: PlanDefinition, plans: dict[str, PlanDefinition], sources: Sequence[str]) -> None:
    if plan.source in plans:
        raise InvalidDefinition([Problem("source", f"{plan.source} has a plan already", "put both into one")])
    if plan.source not in sources:
        hint = near(plan.source, sources) or f"the sources are {', '.join(sources)}"
        raise InvalidDefinition([Problem("source", f"{plan.source} is no source of a write key", hint)])


def _documents(variable: str, place: str | None) -> Iterator[tuple[Path, Any]]:
    if place is None:
        return
    path = Path(place)
    files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES) if path.is_dir() else [path]
    for file in files:
        try:
            for content in load_documents(file.read_text(encoding="utf-8")):
                yield file, content
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{variable}: {file} cannot be read: {error}") from error
        except InvalidDefinition as error:
            raise SettingsError("; ".join([_told(file, problem) for problem in error.problems])) from error


def _told(file: Path, problem: Problem) -> str:
    hint = f" ({problem.suggestion})" if problem.suggestion else ""
    return f"{file} {problem.path or '(top)'}: {problem.reason}{hint}"


def _demand_none(variable: str, problems: Sequence[str]) -> None:
    if problems:
        raise SettingsError("\n  ".join([f"{variable}: these definitions are wrong:", *problems]))
