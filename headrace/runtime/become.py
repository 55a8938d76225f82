"""A service's `migrate`: another program in the same process, so that serving never loads Alembic."""

import os
import sys
from pathlib import Path
from typing import NoReturn


def become_migration(schema: str, scripts: Path) -> NoReturn:
    """Replace this process by `headrace.runtime.migrations`; its exit code is ours."""
    sys.stdout.flush()
    sys.stderr.flush()
    program = "headrace.runtime.migrations"
    os.execv(sys.executable, [sys.executable, "-m", program, schema, str(scripts)])  # noqa: S606 (ourselves)
