"""How rates are written."""

import pytest

from headrace.contracts.errors import SettingsError
from headrace.runtime.rate.bucket import Rate
from headrace.runtime.rate.settings import guard_settings, rate
from headrace.runtime.settings import Environment

NAME = "HEADRACE_RATE_LINK"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100/s", Rate(100.0, 1000)),
        ("100/s, 250", Rate(100.0, 250)),
        ("0.5/s", Rate(0.5, 5)),
        ("30/m,100", Rate(0.5, 100)),
        ("1/h", Rate(1 / 3600, 1)),
        ("OFF", None),
        ("", Rate(5.0, 50)),
    ],
)
def test_rates(text: str, expected: Rate | None) -> None:
    assert rate(Environment({NAME: text}), NAME, "5/s,50") == expected


@pytest.mark.parametrize("text", ["100", "0/s", "-1/s", "1/d", "1/s,0", "1/s,x", "١/s", "1/s,99999999", "nan/s"])
def test_what_is_no_rate_is_said(text: str) -> None:
    with pytest.raises(SettingsError, match=r"HEADRACE_RATE_LINK=.* e\.g\. 5/s,50"):
        rate(Environment({NAME: text}), NAME, "5/s,50")


def test_defaults() -> None:
    found = guard_settings(Environment({}))
    assert found.admin == Rate(0.5, 100)
    assert found.redis_url is None
