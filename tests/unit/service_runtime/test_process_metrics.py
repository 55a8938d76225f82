"""What a process uses: its memory as the kernel counts it, its limit as a control group says it."""

import pytest

from headrace.runtime.metrics import Metrics
from headrace.runtime.process_metrics import memory_limit, watch_pool, watch_process


class Pool:
    """Four connections, of which one idles."""

    def get_size(self) -> int:
        return 4

    def get_idle_size(self) -> int:
        return 1

    def get_max_size(self) -> int:
        return 12


@pytest.mark.parametrize(
    ("text", "limit"),
    [(None, 0), ("max\n", 0), ("536870912\n", 536_870_912), ("9223372036854771712\n", 0), ("", 0)],
)
def test_memory_limit(text: str | None, limit: int) -> None:
    assert memory_limit(text) == limit


def test_memory_grows_with_what_is_held() -> None:
    metrics = Metrics("test")
    watch_process(metrics)

    def resident() -> float:
        return metrics.registry.get_sample_value("headrace_process_memory_bytes") or 0

    before = resident()
    held = bytearray(b"x" * 64 * 1024 * 1024)
    assert resident() - before > 32 * 1024 * 1024
    assert len(held) > 0
    assert metrics.registry.get_sample_value("headrace_process_memory_limit_bytes") is not None


def test_connections_are_counted_when_asked() -> None:
    metrics = Metrics("test")
    watch_pool(metrics, Pool())
    value = metrics.registry.get_sample_value
    assert value("headrace_database_connections_busy") == 3
    assert value("headrace_database_connections_limit") == 12
