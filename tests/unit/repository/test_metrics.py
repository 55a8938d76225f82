"""Every declared metric is set somewhere: one that never moves tells operators that all is well."""

import re
from functools import lru_cache

import pytest
from prometheus_client.metrics import MetricWrapperBase

from headrace.runtime.metrics import Metrics
from tests.unit.repository.tree import ROOT

NAMES = sorted(name for name, each in vars(Metrics("test")).items() if isinstance(each, MetricWrapperBase))


@lru_cache(maxsize=1)
def used() -> frozenset[str]:
    """Attributes of `metrics` that the code takes, but for what only forgets them."""
    declared = ROOT / "headrace" / "runtime" / "metrics.py"
    files = [path for top in ("headrace", "services") for path in (ROOT / top).rglob("*.py") if path != declared]
    texts = (path.read_text(encoding="utf-8") for path in files)
    return frozenset(name for text in texts for name in re.findall(r"metrics\s*\.\s*([a-z_]+)", text))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_set_somewhere(name: str) -> None:
    assert name in used(), f"no code sets Metrics.{name}"
