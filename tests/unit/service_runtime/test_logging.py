"""Logs: one JSON object a line, a fixed event name, and nothing of a person."""

import asyncio
import contextlib
import gc
import json
import logging
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
import redis.exceptions
import structlog

from headrace.contracts.errors import HeadraceError
from headrace.runtime import logging as runtime_logging

CANARY = "eva.canary@example.com"


@pytest.fixture(autouse=True)
def _own_root() -> Iterator[None]:
    level = logging.root.level
    yield
    logging.root.handlers = []
    logging.root.setLevel(level)
    structlog.reset_defaults()


def configure_logging(service: str, **options: Any) -> None:
    """As in a process of its own: pytest's handlers do not stand at the root."""
    logging.root.handlers = []
    runtime_logging.configure_logging(service, **options)


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The error as caught: with a traceback, and a cause."""
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def test_a_line_is_an_object_with_event_level_time_and_service(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("profiles")
    structlog.get_logger().info("partition_assigned", partition=3)
    (line,) = logged(capsys)
    assert line.pop("timestamp")
    assert line == {"event": "partition_assigned", "level": "info", "partition": 3, "service": "profiles"}


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("profiles", level=logging.WARNING)
    structlog.get_logger().info("quiet")
    assert capsys.readouterr().err == ""


def test_text_for_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("profiles", json=False)
    structlog.get_logger().warning("partition_failed", partition=3, exc_info=raised(ValueError(CANARY)))
    text = capsys.readouterr().err
    assert "partition_failed" in text
    assert "partition=3" in text
    assert "ValueError" in text
    assert CANARY not in text


LEAKING = [
    ValueError(CANARY),
    asyncpg.UniqueViolationError(f"duplicate key (email)=({CANARY})"),
    redis.exceptions.ResponseError(f"user_script:27: unknown command, with args: '{CANARY}'"),
    ExceptionGroup(CANARY, [ValueError(CANARY), KeyError(CANARY)]),
    FileNotFoundError(2, "No such file or directory", CANARY),
]


@pytest.mark.parametrize("error", LEAKING, ids=lambda error: type(error).__name__)
def test_an_exception_is_named_and_placed_but_not_quoted(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("profiles")
    wrapped = raised(HeadraceError("Check the address."), raised(error))
    structlog.get_logger().warning("partition_failed", exc_info=wrapped)
    text = capsys.readouterr().err
    assert CANARY not in text
    exception = json.loads(text)["exception"]
    assert "HeadraceError: Check the address." in exception
    assert "because of" in exception
    assert type(error).__name__ in exception
    assert "test_logging.py:" in exception


def test_codes_that_help_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("profiles")
    for error in LEAKING[1:3]:
        structlog.get_logger().warning("partition_failed", exc_info=error)
    unique, script = logged(capsys)
    assert unique["exception"].endswith("SQLSTATE 23505")
    assert script["exception"].endswith("ResponseError: user_script:27: unknown command, with args:")


def test_the_exception_being_handled_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("profiles")
    with contextlib.suppress(ZeroDivisionError):
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            structlog.get_logger().exception("failed")
            raise
    (line,) = logged(capsys)
    assert line["exception"].endswith("ZeroDivisionError")


def test_an_error_that_refers_to_itself_ends(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("profiles")
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one
    structlog.get_logger().warning("failed", exc_info=one)
    assert logged(capsys)[0]["exception"] == "ValueError\nbecause of\nKeyError"


def test_libraries_take_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("profiles")
    logging.getLogger("uvicorn.error").error("Exception in %s\n", "app", exc_info=raised(ValueError(CANARY)))
    logging.getLogger("uvicorn.error").info("not this")
    (line,) = logged(capsys)
    assert (line["event"], line["level"], line["service"]) == ("Exception in app", "error", "profiles")
    assert line["exception"].endswith("ValueError")


async def test_a_task_nobody_awaited_is_logged_without_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("profiles")

    async def fail() -> None:
        raise ValueError(CANARY)

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()
    text = capsys.readouterr().err
    assert "Task exception was never retrieved" in text
    assert CANARY not in text
