"""Where webhooks may go: every form that has led somewhere private elsewhere."""

from ipaddress import ip_network

import pytest

from headrace.runtime.webhooks.address import ANYWHERE, MAX_URL, PUBLIC, Reach, is_public, url_problem

GLOBAL = [
    "93.184.215.14",
    "1.1.1.1",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "223.255.255.254",
]
GLOBAL_6 = ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "2a00:1450:4014:80e::200e", "2001:4860:4860::8888"]
PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
]
PRIVATE_6 = [
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:93.184.215.14",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
# inet_aton reads these as addresses; most as 127.0.0.1
OTHER_FORMS = [
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7F000001",
    "0x7f.1",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "0x",
    "1.1.1",
    "256.1.1.1",
    "1.2.3.4.5",
    "4294967296",
    "example.1",
    "example.0x7f",
]


@pytest.mark.parametrize("address", [*GLOBAL, *GLOBAL_6])
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address", [*PRIVATE, *PRIVATE_6, *OTHER_FORMS, "2606:2800::1%eth0", "fe80::1%eth0", "", "example.com"]
)
def test_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/",
        "https://hooks.example.com:8443/a/b?c=d&e=%20;(x)",
        "https://example.com:1/",
        "HTTPS://EXAMPLE.com/x",
        "https://example.com?x=@y",
        "https://xn--hkyrky-ptac70bc.example/",
        "https://a_b.example.com/",
        "https://example.com./",
        f"https://{GLOBAL[0]}/",
        f"https://[{GLOBAL_6[0]}]:444/",
        "https://localhost.example.com/",
    ],
)
def test_a_usable_url(url: str) -> None:
    assert url_problem(url, PUBLIC) is None


@pytest.mark.parametrize(
    "host",
    [
        *PRIVATE,
        *(f"[{address}]" for address in PRIVATE_6),
        "localhost",
        "LOCALHOST",
        "localhost.",
        "x.localhost",
    ],
)
def test_a_literal_private_host_is_refused_and_said(host: str) -> None:
    for port in ("", ":443", ":22"):
        problem = url_problem(f"https://{host}{port}/hook", PUBLIC)
        assert problem is not None
        assert "not public" in problem.reason
        assert url_problem(f"http://{host}{port}/hook", ANYWHERE) is None


@pytest.mark.parametrize(
    "url",
    [
        *(f"https://{host}/" for host in OTHER_FORMS),
        "",
        "example.com",
        "//example.com/",
        "https:/example.com/",
        "https:///x",
        "https://",
        "https://.example.com/",
        "https://exa..mple.com/",
        "https://-a.example.com/",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com@127.0.0.1/",
        "https://127.0.0.1\\@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com#@127.0.0.1/",
        "https://example.com/#fragment",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:443:80/",
        "https://example.com:+80/",
        "https://example.com:８０/",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com/\r\nHost: x",
        "https://example.com/\0",
        "https://example.com/\n",
        "https://exämple.com/",
        "https://１２７.0.0.1/",
        "https://127。0。0。1/",
        "https://ⓛocalhost/",
        "https://%31%32%37.0.0.1/",
        "https://[::1/",
        "https://::1/",
        "https://[fe80::1%25eth0]/",
        "https://[::ffff:127.1]/",
        "https://[1.2.3.4]/",
        "https://" + "a" * 64 + ".example.com/",
        "https://example.com/" + "a" * MAX_URL,
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript://example.com/",
    ],
)
@pytest.mark.parametrize("reach", [PUBLIC, ANYWHERE])
def test_a_url_that_is_none_of_ours_is_refused(url: str, reach: Reach) -> None:
    problem = url_problem(url, reach)
    assert problem is not None
    assert problem.suggestion


def test_plain_http_is_for_tests() -> None:
    problem = url_problem("http://example.com/", PUBLIC)
    assert problem is not None
    assert "HEADRACE_WEBHOOK_ALLOW_PRIVATE" in problem.suggestion
    assert url_problem("http://example.com/", ANYWHERE) is None


LOOPBACK = Reach((ip_network("127.0.0.1/32"), ip_network("fd00::/8")))


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://127.0.0.1:8080/", True),
        ("https://127.0.0.1/", True),
        ("http://[fd00::1]/", True),
        ("http://127.0.0.2/", False),
        ("https://127.0.0.2/", False),
        ("http://[::ffff:127.0.0.1]/", False),
        ("http://169.254.169.254/", False),
        (f"http://{GLOBAL[0]}/", False),
        (f"https://{GLOBAL[0]}/", True),
        ("http://hooks.example/", True),  # what it resolves to is checked as it is connected to
        ("http://localhost:8080/", True),
    ],
)
def test_an_operator_allows_networks_and_no_more(url: str, allowed: bool) -> None:
    assert (url_problem(url, LOOPBACK) is None) is allowed


def test_plain_http_reaches_only_what_the_operator_names() -> None:
    assert LOOPBACK.allows("127.0.0.1", plain=True)
    assert LOOPBACK.allows(GLOBAL[0])
    assert not LOOPBACK.allows(GLOBAL[0], plain=True)
    assert not LOOPBACK.allows("127.0.0.2")
    assert not LOOPBACK.allows("hooks.example")
