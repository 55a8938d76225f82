"""Where a webhook may go: the form of its URL, and which addresses on the network are public.

A receiver's URL comes from outside, so a request to it must not reach what only this machine can (SSRF). The form
is narrow on purpose: two parsers that read one text differently are the usual way around such a check.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

MAX_URL = 2048

_FORM = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?:[/?][\x21\x22\x24-\x5b\x5d-\x7e]*)?"
)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")

# IANA's special-purpose registry (RFC 6890 and after), 6to4's relays, and the metadata service of Azure, which has
# an address that looks public
_NOT_PUBLIC_4 = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# All that is global in IPv6 lies here. Outside are loopback, unspecified, IPv4-mapped, NAT64, discard-only, unique
# local, link-local and multicast.
_GLOBAL_6 = ip_network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    ip_network(text)
    for text in (
        "2001::/23",  # Teredo, ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address of any kind inside
        "3fff::/20",
    )
)


@dataclass(frozen=True, slots=True)
class UrlProblem:
    """Why a URL is refused, and what to write instead."""

    reason: str
    suggestion: str


def is_public(address: str) -> bool:
    """May a request go to this numeric address? False for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _NOT_PUBLIC_4)
    return found.scope_id is None and found in _GLOBAL_6 and not any(found in network for network in _NOT_PUBLIC_6)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which addresses a webhook may go to: public ones by https, and those in `networks`, by plain http too."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def allows(self, address: str, *, plain: bool = False) -> bool:
        """May a request go to this numeric address; `plain` is one without TLS."""
        return self._named(address) or (not plain and is_public(address))

    def _named(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)


PUBLIC = Reach()
ANYWHERE = Reach((ip_network("0.0.0.0/0"), ip_network("::/0")))


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a URL's host writes out, None for a name. Raises ValueError for a form that systems read in
    different ways (`127.1`, `0x7f000001`, `017700000001`, `2130706433`)."""
    if host.startswith("["):
        return IPv6Address(host[1:-1])
    last = host.removesuffix(".").rpartition(".")[2]
    return IPv4Address(host) if _NUMBER.fullmatch(last) else None


def url_problem(url: str, reach: Reach) -> UrlProblem | None:
    """What is wrong with a receiver's URL, as far as the text tells. What a name resolves to is for the moment of
    sending."""
    if len(url) > MAX_URL:
        return UrlProblem(f"is longer than {MAX_URL} characters", "give a shorter one")
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    if "@" in authority:
        return UrlProblem("has a user or password", "leave them out: every request is signed")
    form = _FORM.fullmatch(url)
    if form is None:
        return UrlProblem(
            "is no URL that can be used",
            "write https://host[:port]/path in ASCII, without # (a name in another script as xn--…)",
        )
    return _scheme_problem(form["scheme"].lower(), reach) or _host_problem(form, reach)


def _scheme_problem(scheme: str, reach: Reach) -> UrlProblem | None:
    allowed = ("https", "http") if reach.networks else ("https",)
    if scheme in allowed:
        return None
    return UrlProblem(
        "must be https",
        "write https://… (HEADRACE_WEBHOOK_ALLOW=127.0.0.1/32 lets http pass to there,"
        " HEADRACE_WEBHOOK_ALLOW_PRIVATE=1 to anywhere, for tests)",
    )


def _host_problem(form: re.Match[str], reach: Reach) -> UrlProblem | None:
    host, port = form["host"], form["port"]
    if port is not None and not 1 <= int(port) <= 65_535:
        return UrlProblem(f"has a port {port} that does not exist", "write one from 1 to 65535")
    try:
        literal = literal_address(host)
    except ValueError:
        return UrlProblem(
            f"has a host {host} that is neither a name nor an address", "write 93.184.215.14 or a name"
        )
    if literal is None and not _is_name(host):
        return UrlProblem(f"has a host {host} that is no name", "write a name such as hooks.example.com")
    if literal is None and (reach.networks or not _is_local(host)):
        return None
    if literal is not None and reach.allows(str(literal), plain=form["scheme"].lower() == "http"):
        return None
    return UrlProblem(
        f"leads to {host}, which is not public", "give an address that is reachable from the internet"
    )


def _is_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def _is_local(host: str) -> bool:
    """RFC 6761: these names mean this machine, whoever is asked."""
    return host.removesuffix(".").lower().rpartition(".")[2] == "localhost"
