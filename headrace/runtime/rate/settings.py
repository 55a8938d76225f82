"""Settings of the rate limits that every service has."""

import re
from dataclasses import dataclass, field

from headrace.contracts.errors import SettingsError
from headrace.runtime.rate.bucket import Rate
from headrace.runtime.settings import Environment

OFF = "off"
MAX_BURST = 10_000_000
_RATE = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,3})?)/([smh])(?:,([0-9]{1,8}))?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600}
BURST_SECONDS = 10


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """Limits of a service beside those of tracking. `link`: requests of one link in a message. `refused_link`:
    links of one address that we never signed. `admin`: wrong admin tokens of one address. None: no limit.
    `trusted_hops`: how many proxies of ours write X-Forwarded-For. `redis_url` None: each process counts alone."""

    link: Rate | None
    refused_link: Rate | None
    admin: Rate | None
    trusted_hops: int
    redis_url: str | None = field(repr=False)
    prefix: str


NO_GUARD = GuardSettings(None, None, None, 0, None, "")


def guard_settings(env: Environment) -> GuardSettings:
    """Raises SettingsError."""
    return GuardSettings(
        link=rate(env, "HEADRACE_RATE_LINK", "5/s,50"),
        refused_link=rate(env, "HEADRACE_RATE_REFUSED_LINKS", "1/s,100"),
        admin=rate(env, "HEADRACE_RATE_ADMIN_FAILURES", "30/m,100"),
        trusted_hops=env.integer("HEADRACE_TRUSTED_HOPS", 0, high=10),
        redis_url=env.optional("HEADRACE_REDIS_URL"),
        prefix=env.text("HEADRACE_TOPIC_PREFIX", ""),
    )


def rate(env: Environment, name: str, default: str) -> Rate | None:
    """`100/s` or `100/s,1000` (with its burst), also per `m` or `h`; `off` is None."""
    text = env.text(name, default).replace(" ", "").lower()
    if text == OFF:
        return None
    match = _RATE.fullmatch(text)
    per_second = float(match[1]) / _SECONDS[match[2]] if match else 0.0
    burst = int(match[3]) if match and match[3] else max(1, round(per_second * BURST_SECONDS))
    if not per_second > 0 or not 1 <= burst <= MAX_BURST:
        example = "100/s,1000" if default == OFF else default
        raise SettingsError(f"{name}={text!r} must be a rate and perhaps its burst, e.g. {example}, or {OFF}")
    return Rate(per_second, burst)
