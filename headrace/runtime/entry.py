"""What `python -m services.NAME [migrate]` does for every service."""

import os
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn

import structlog
import uvloop

from headrace.contracts.errors import HeadraceError
from headrace.runtime import failpoints
from headrace.runtime.logging import configure_logging, log_level
from headrace.runtime.settings import Environment

log = structlog.get_logger()

Run = Callable[[Environment], Coroutine[Any, Any, int]]


def run_service(
    name: str, arguments: Sequence[str], run: Run, *, migrations: Path | None = None, schema: str | None = None
) -> int:
    """Serve, or with the argument `migrate` bring `schema` (default: `name`) up to date; the exit code. `run`
    reads its settings at once, so that a wrong one is said before anything starts."""
    try:
        env = Environment(os.environ)
        json = env.text("HEADRACE_LOG_FORMAT", "json") == "json"
        configure_logging(name, json=json, level=log_level(env.text("HEADRACE_LOG_LEVEL", "info")))
        log_unhandled()
        failpoints.configure(name, env)
        if list(arguments) == ["migrate"] and migrations is not None:
            _become_migration(schema or name, migrations)
        if arguments:
            wanted = "`migrate` or nothing" if migrations is not None else "no argument"
            raise HeadraceError(f"{' '.join(arguments)!r} is not understood: give {wanted}")
        return uvloop.run(run(env))
    except HeadraceError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 1


def log_unhandled() -> None:
    """What nobody catches is logged as all errors are. Python itself would print the words of the error, which
    quote values, and the objects concerned. Call once, in a process of ours."""
    sys.excepthook = lambda kind, error, trace: log.critical("process_failed", exc_info=error)
    threading.excepthook = lambda args: log.error("thread_failed", exc_info=args.exc_value)
    sys.unraisablehook = lambda args: log.error("not_raised", exc_info=args.exc_value)


def _become_migration(schema: str, scripts: Path) -> NoReturn:
    """Replace this process by the migration, whose exit code is ours: serving never loads Alembic."""
    sys.stderr.flush()
    program = "headrace.runtime.migrations"
    os.execv(sys.executable, [sys.executable, "-m", program, schema, str(scripts)])  # noqa: S606 (ourselves)
