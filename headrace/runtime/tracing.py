"""W3C trace context: one trace from the HTTP request to the message, carried in record headers. And spans.

A span is recorded only where `open_tracing` was given an address to send it to; `Tracing` itself records nothing
and costs next to nothing. Spans stand for batches: the first sampled record of a batch is the parent, a few others
are links. Attributes say what and how many, never who: no ids of customers or messages, no paths but those of
routes, no queries, no words of errors.
"""

import importlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Literal, Protocol, cast

from headrace.contracts.errors import SettingsError
from headrace.contracts.headers import TRACEPARENT_FORM, Headers
from headrace.runtime.metrics import Metrics
from headrace.runtime.tracing_settings import TracingSettings

_INVALID_TRACE = "0" * 32
_INVALID_SPAN = "0" * 16

Kind = Literal["server", "client", "producer", "consumer", "internal"]
Attributes = Mapping[str, str | int]


def continue_trace(traceparent: str | None, *, sampled: bool = True) -> str:
    """A traceparent for our own span: same trace as the caller's, or a new trace if it is absent or malformed.
    `sampled` is the flag of a new one."""
    match = TRACEPARENT_FORM.fullmatch(traceparent or "")
    if match is None or match[1] == _INVALID_TRACE or match[2] == _INVALID_SPAN:
        ids = secrets.token_hex(24)
        return f"00-{ids[:32]}-{ids[32:]}-{sampled:02x}"
    return f"00-{match[1]}-{secrets.token_hex(8)}-{match[3]}"


class Carrier(Protocol):
    """A record, new or read."""

    @property
    def headers(self) -> Headers: ...


class Span:
    """A span that nobody records. `traceparent` is what its followers carry on. As a context it ends itself, and
    tells the type of an error that leaves it."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str = "") -> None:
        self.traceparent = traceparent

    def note(self, attributes: Attributes) -> None:
        """Add to what it says."""

    def fail(self, kind: str) -> None:
        """It has failed; `kind` is the type of the error or a slug, not its words."""

    def end(self, name: str | None = None) -> None:
        """It is over; `name` is what it is called, where that was not known before. Idempotent."""

    def __enter__(self) -> "Span":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.fail(kind.__name__)
        self.end()


NO_SPAN = Span()


class Tracing:
    """Records nothing. What records is `headrace.runtime.otlp.Recorder`, with the same methods."""

    on = False

    def serving(self, name: str, traceparent: str | None, attributes: Attributes) -> Span:
        """A request of somebody else, whose trace it continues. The span has a traceparent in any case."""
        return Span(continue_trace(traceparent))

    def consuming(self, topic: str, partition: int, records: Sequence[Carrier]) -> Span:
        """A batch of records at work."""
        return NO_SPAN

    def producing(self, topic: str, partition: int, records: Sequence[Carrier]) -> Span:
        """An append."""
        return NO_SPAN

    def following(
        self,
        name: str,
        kind: Kind,
        traceparents: Iterable[str | None],
        attributes: Attributes,
        *,
        began: int | None = None,
    ) -> Span:
        """Work that these traces have led to. `began`: when, if not now, in nanoseconds since the epoch."""
        return NO_SPAN

    def count_in(self, metrics: Metrics) -> None:
        """Count exported and dropped spans there."""

    async def close(self) -> None:
        """Send what is waiting, for a few seconds at most. Idempotent."""


OFF = Tracing()


def open_tracing(service: str, settings: TracingSettings | None, *, log_url: str = "") -> Tracing:
    """What records the spans of this process, as the settings say; close it at the end. Without an endpoint
    nothing that records or sends spans is loaded. Raises SettingsError when it is not installed."""
    if settings is None:
        return OFF
    try:
        module = importlib.import_module("headrace.runtime.otlp")
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"HEADRACE_OTLP_ENDPOINT is set, and the package {error.name} is missing: "
            "install headrace[tracing], or unset the variable"
        ) from error
    record = cast("Callable[[str, TracingSettings, str], Tracing]", module.record)
    return record(service, settings, log_url)
