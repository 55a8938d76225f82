"""Structured logs: a fixed event name plus key-values. Never a body, an e-mail, a phone number or a token.

Other people's exceptions quote values in their messages (a driver shows the row it refused), so an exception is
logged as its type and where it came from; our own errors keep their words, engines' errors their codes.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterator

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from headrace.contracts.errors import HeadraceError, SettingsError

# Redis quotes what it was sent: its words end where the first quotation begins.
_REDIS_WORDS = re.compile(r"[^'\"`]{1,120}")


_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def log_level(word: str) -> int:
    """The level that `HEADRACE_LOG_LEVEL` names. Raises SettingsError."""
    if word.lower() not in _LEVELS:
        raise SettingsError(f"HEADRACE_LOG_LEVEL={word!r} must be one of {', '.join(_LEVELS)}")
    return _LEVELS[word.lower()]


def configure_logging(service: str, *, json: bool = True, level: int = logging.INFO) -> None:
    """One line per event on stderr; JSON, or readable text for a terminal. Call once, in `main`.

    What libraries log with the standard module, from WARNING on, takes the same form. `level` is ours alone: below
    WARNING they tell of requests, statements and records.
    """
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _naming(service),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        describe_exception,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _first_line, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def describe_exception(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A processor: replaces `exc_info` by `exception`, the frames and types of the error and its causes."""
    given = event.pop("exc_info", None)
    if isinstance(given, tuple):
        given = given[1]
    elif given and not isinstance(given, BaseException):
        given = sys.exc_info()[1]
    if given:
        event["exception"] = "\n".join(_lines(given, set()))
    return event


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"{frame.filename}:{frame.lineno} in {frame.name}"
    yield _title(error)
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    for other in (*inner, cause):
        if other is not None and id(other) not in seen:
            yield "because of" if other is cause else "containing"
            yield from _lines(other, seen)


def _title(error: BaseException) -> str:
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    if isinstance(error, HeadraceError):
        return f"{name}: {error}"
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    if sqlstate := getattr(error, "sqlstate", None):
        return f"{name}: SQLSTATE {sqlstate}"
    if kind.__module__.startswith("redis.") and (words := _REDIS_WORDS.match(str(error))):
        return f"{name}: {words[0].strip()}"
    return name


def _naming(service: str) -> Processor:
    def add_service(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return add_service


def _first_line(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """asyncio puts the representation of the failed task on the lines that follow."""
    event["event"] = str(event["event"]).strip().partition("\n")[0]
    return event
