"""What the code knows: its settings."""

import re
from functools import cache

from tests.deploy.kustomize import ROOT

# Read by asyncpg, as libpq does.
OF_LIBRARIES = frozenset({"PGSSLMODE", "PGSSLROOTCERT"})
SETTING = re.compile(r"`(HEADRACE_[A-Z][A-Z_]*[A-Z])`")


@cache
def known_settings() -> set[str]:
    """Every documented setting; tests/unit/repository holds the document to the code."""
    text = (ROOT / "docs/settings.md").read_text("utf-8")
    return {*SETTING.findall(text), *OF_LIBRARIES}
