"""Which address a request counts for."""

import pytest

from headrace.runtime.client_address import client_address, counted_address, written_address

FORWARDED = [(b"x-forwarded-for", b"1.1.1.1, 2.2.2.2"), (b"x-forwarded-for", b"3.3.3.3")]


@pytest.mark.parametrize(
    ("hops", "expected"), [(0, "10.0.0.1"), (1, "3.3.3.3"), (2, "2.2.2.2"), (3, "1.1.1.1"), (4, "10.0.0.1")]
)
def test_what_our_proxies_wrote_is_believed(hops: int, expected: str) -> None:
    assert client_address(FORWARDED, ("10.0.0.1", 80), hops) == expected


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]:443", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        (None, "unknown"),
        ("made up", "unknown"),
        ("x" * 10_000, "unknown"),
    ],
)
def test_one_customer_of_a_provider_is_one_address(address: str | None, counted: str) -> None:
    assert counted_address(address) == counted


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8:1:2::1]:443", "2001:db8:1:2::1"),
        ("made up", "unknown"),
        ("x" * 10_000, "unknown"),
        (None, "unknown"),
    ],
)
def test_the_audit_log_has_whole_addresses_and_nothing_else(address: str | None, written: str) -> None:
    assert written_address(address) == written
