"""Where spans go, how many of them, and what the receiver wants to know of us."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from headrace.contracts.errors import SettingsError

ENDPOINT, HEADERS, RATIO = "HEADRACE_OTLP_ENDPOINT", "HEADRACE_OTLP_HEADERS", "HEADRACE_TRACE_RATIO"
DEFAULT_RATIO = "0.01"
_PATH = "/v1/traces"


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """`endpoint` is the full address that spans are posted to. `ratio`, 0 to 1, is the share of the traces that
    begin here which is recorded; where a caller has decided, that holds."""

    endpoint: str
    ratio: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def tracing_settings(endpoint: str | None, headers: str, ratio: str) -> TracingSettings | None:
    """The three variables as they were read; None where no endpoint is set: nothing is recorded."""
    return None if endpoint is None else TracingSettings(_address(endpoint), _ratio(ratio), _headers(headers))


def _address(endpoint: str) -> str:
    url = urlsplit(endpoint)
    if url.scheme not in {"http", "https"} or not url.hostname or url.username or url.query or url.fragment:
        raise SettingsError(
            f"{ENDPOINT} must be the address of an OTLP receiver over HTTP, e.g. http://collector:4318; "
            f"credentials go into {HEADERS}"
        )
    base = endpoint.rstrip("/")
    return base if base.endswith(_PATH) else base + _PATH


def _ratio(raw: str) -> float:
    try:
        ratio = float(raw)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise SettingsError(f"{RATIO}={raw!r} must be a number from 0 (none) to 1 (all), e.g. 0.01")
    return ratio


def _headers(text: str) -> dict[str, str]:
    headers = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = (part.strip() for part in pair.partition("="))
        if not sign or not name.isascii() or not name.replace("-", "").isalnum() or not value.isprintable():
            raise SettingsError(f"{HEADERS} must be like name=value,name=value, e.g. authorization=Bearer abc")
        headers[name.lower()] = value
    return headers
