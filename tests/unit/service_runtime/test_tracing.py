"""W3C trace context: the caller's trace goes on, a broken one starts anew."""

import re

import pytest

from headrace.runtime.tracing import continue_trace

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize("flags", ["00", "01"])
def test_the_callers_trace_goes_on_with_a_span_of_our_own(flags: str) -> None:
    version, trace, span, sampled = continue_trace(f"00-{TRACE}-{SPAN}-{flags}").split("-")
    assert (version, trace, sampled) == ("00", TRACE, flags)
    assert span != SPAN
    assert re.fullmatch("[0-9a-f]{16}", span)


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "nonsense",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-01-extra",
    ],
)
def test_an_absent_or_malformed_one_starts_a_trace(given: str | None) -> None:
    started = continue_trace(given)
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", started)
    assert TRACE not in started


def test_traces_differ() -> None:
    assert continue_trace(None) != continue_trace(None)
