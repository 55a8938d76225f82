"""What a `Retry-After` asks for."""

import pytest

from headrace.runtime.webhooks.reply import retry_after_ms

NOW = 1_790_000_000_000
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("header", "milliseconds"),
    [
        (None, 0),
        ("", 0),
        ("0", 0),
        ("120", 120_000),
        (" 120 ", 120_000),
        ("999999", 24 * HOUR),
        ("9" * 400, 24 * HOUR),
        ("-5", 0),
        ("1.5", 0),
        ("٣", 0),
        ("soon", 0),
        ("Mon, 21 Sep 2026 14:13:30 GMT", 10_000),
        ("Mon, 21 Sep 2026 14:13:30 -0000", 10_000),
        ("Mon, 21 Sep 2026 14:13:10 GMT", 0),
        ("Fri, 21 Sep 2096 14:13:10 GMT", 24 * HOUR),
        ("Mon, 99 Sep 2026 14:13:30 GMT", 0),
        ("Mon, 01 Jan 0001 00:00:00 +1400", 0),
    ],
)
def test_retry_after(header: str | None, milliseconds: int) -> None:
    assert retry_after_ms(header, NOW) == milliseconds
