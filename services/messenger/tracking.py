"""Makes an HTML mail tell when it is opened and which of its links are followed. Pure.

Every link of the web is led by way of us (`/c/{token}`), and a pixel of ours (`/o/{token}.gif`) stands at the end
of the body; everything else stays as it is, byte for byte. A token names the message and the link's number: where
that leads is looked up in the ledger, never read from the address.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from services.messenger.html_links import find_links
from services.messenger.links import PublicLinks

MAX_LINKS = 500
MAX_TARGET = 4_000
"""Characters of a target as it stands in a header; a longer one some proxies refuse."""
_EDGES = "".join(map(chr, range(0x21)))
_DROPPED = re.compile(r"[\t\n\r]")
# a backslash or a control character is read in more than one way: where it leads is not ours to say
_WEB = re.compile(r"https?://[^\x00-\x20/?#\\\x7f-\x9f][^\x00-\x1f\\\x7f-\x9f\ud800-\udfff]*", re.IGNORECASE)
_KEPT = ":/%#?=@[]!$&'()*+,;"


@dataclass(frozen=True, slots=True)
class Tracked:
    """`links` are the targets: number 1 is the first one."""

    html: str
    links: Sequence[str]


def track(html: str, message_id: str, links: PublicLinks, known: Sequence[str] = ()) -> Tracked:
    """`known`: the targets that an earlier attempt at this message gave numbers to. It may have arrived, so that
    they keep them."""
    numbers = {target: number for number, target in enumerate(known, 1)}
    found = find_links(html)
    parts: list[str] = []
    at = 0
    for link in found.links:
        target = web_target(link.address)
        if target is None or links.is_ours(target) or (target not in numbers and len(numbers) >= MAX_LINKS):
            continue
        number = numbers.setdefault(target, len(numbers) + 1)
        parts += (html[at : link.start], escape(links.click(message_id, number)))
        at = link.end
    if found.end is not None:
        parts += (html[at : found.end], _pixel(links.open(message_id)))
        at = found.end
    return Tracked("".join([*parts, html[at:]]), tuple(numbers))


def web_target(address: str) -> str | None:
    """The address as a browser takes it, when it is one of the web and can be followed by way of us; else None."""
    target = _DROPPED.sub("", address.strip(_EDGES))
    if _WEB.fullmatch(target) is None or len(location(target)) > MAX_TARGET:
        return None
    return target


def location(target: str) -> str:
    """The target as it stands in a `Location` header: nothing but printable ASCII, and no space."""
    return quote(target, safe=_KEPT)


def _pixel(url: str) -> str:
    return f'<img src="{escape(url)}" width="1" height="1" border="0" alt="">'
