"""Finds the links of an HTML mail: where each `href` of an `a` or `area` stands, and what it leads to. Pure.

It reads as browsers do (WHATWG HTML, "Tokenization"), as far as that decides what is a tag: comments, raw text
such as `<style>`, and quoted attributes hide what looks like one. It goes once through the text, whatever that is.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from html.entities import html5

NO_TRACK = "data-no-track"
_OPENING = re.compile(r"<(?:!--|/?[A-Za-z]|[!?/])")
_TAG_NAME = re.compile(r"[A-Za-z][^\t\n\f\r />]*")
_GAP = re.compile(r"[\t\n\f\r /]*")
_ATTRIBUTE_NAME = re.compile(r"[^\t\n\f\r />][^\t\n\f\r />=]*")
_EQUALS = re.compile(r"[\t\n\f\r ]*=[\t\n\f\r ]*")
_UNQUOTED = re.compile(r"[^\t\n\f\r >]*")
_COMMENT_END = re.compile(r"--!?>")
_RAW = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"})
_RAW_END = {name: re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE) for name in _RAW}
_LINKING = frozenset({"a", "area"})
# What needs no look: text, and plainly written tags that say nothing of links, of raw text or of the body's end.
# Most of a mail is that, and the engine walks over it much faster than we do. Nothing here is tried twice.
_DULL = re.compile(
    r"""(?:[^<]++
        |(?:</(?!(?:body|html)[\t\n\f\r />])
           |<(?!(?:a|area|plaintext|script|style|textarea|title|xmp|iframe|noembed|noframes)[\t\n\f\r />]))
          [A-Za-z][A-Za-z0-9:-]*+
          (?:[\t\n\f\r ]++[A-Za-z][A-Za-z0-9:_-]*+(?:=(?:"[^"]*+"|'[^']*+'|[A-Za-z0-9\#%.:;_-]++))?+)*+
          [\t\n\f\r ]*+/?+>
    )*+""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9A-Fa-f]+;?|[A-Za-z][A-Za-z0-9]*(?:;|(?!=)))")


@dataclass(frozen=True, slots=True)
class Link:
    """A link's address as it is written, between `start` and `end`, and as it is meant."""

    start: int
    end: int
    address: str


@dataclass(frozen=True, slots=True)
class Found:
    """`links` in the order of the text, without those that say not to be tracked. `end`: where the last thing of
    the body may be put; None when the text ends within a tag, a comment or the like."""

    links: Sequence[Link]
    end: int | None


@dataclass(frozen=True, slots=True)
class _Attribute:
    name: str
    start: int
    end: int


def find_links(html: str) -> Found:
    links: list[Link] = []
    ends: dict[str, int] = {}
    at = 0
    while (at := _DULL.match(html, at).end()) < len(html):  # type: ignore[union-attr]
        opening = _OPENING.match(html, at)
        if opening is None:
            at += 1
            continue
        start, kind = opening.start(), opening[0]
        if not kind[-1].isalpha():
            after = _after_comment(html, start)
        elif kind.startswith("</"):
            ends[_TAG_NAME.match(html, start + 2)[0].lower()] = start  # type: ignore[index]
            after = _after_tag(html, start + 2, [])
        else:
            after = _after_start_tag(html, start, links)
        if after is None:
            return Found(links, None)
        at = after
    return Found(links, ends.get("body", ends.get("html", len(html))))


def _after_comment(html: str, start: int) -> int | None:
    """Behind a comment, or what is read as one: `<!doctype>`, `<![endif]>`, `<?xml?>`, `</>`."""
    if not html.startswith("<!--", start):
        end = html.find(">", start + 2)
        return end + 1 if end >= 0 else None
    for empty in ("<!-->", "<!--->"):
        if html.startswith(empty, start):
            return start + len(empty)
    end_of = _COMMENT_END.search(html, start + 4)
    return end_of.end() if end_of is not None else None


def _after_start_tag(html: str, start: int, links: list[Link]) -> int | None:
    """Behind the tag, and behind the raw text that follows some; a link that it holds is added to `links`."""
    attributes: list[_Attribute] = []
    after = _after_tag(html, start + 1, attributes)
    if after is None:
        return None
    name = _TAG_NAME.match(html, start + 1)[0].lower()  # type: ignore[index]
    if name == "plaintext":
        return None
    if name in _RAW:
        end = _RAW_END[name].search(html, after)
        return end.start() if end is not None else None
    if name in _LINKING:
        links.extend(_link(html, attributes))
    return after


def _link(html: str, attributes: Sequence[_Attribute]) -> Iterator[Link]:
    if any(one.name == NO_TRACK for one in attributes):
        return
    for one in attributes:
        if one.name == "href":  # of several the first one counts
            yield Link(one.start, one.end, attribute_text(html[one.start : one.end]))
            return


def _after_tag(html: str, start: int, attributes: list[_Attribute]) -> int | None:
    """Behind the tag whose name begins at `start`; None when it never ends."""
    at = _TAG_NAME.match(html, start).end()  # type: ignore[union-attr]
    while True:
        at = _GAP.match(html, at).end()  # type: ignore[union-attr]
        if at >= len(html):
            return None
        if html[at] == ">":
            return at + 1
        name = _ATTRIBUTE_NAME.match(html, at)
        assert name is not None, "neither a space, a slash, > nor the end"
        value = _value(html, name.end())
        if value is None:
            return None
        attributes.append(_Attribute(name[0].lower(), value[0], value[1]))
        at = value[2]


def _value(html: str, at: int) -> tuple[int, int, int] | None:
    """Where an attribute's value begins and ends, and where the tag goes on; None when it never ends."""
    equals = _EQUALS.match(html, at)
    if equals is None:
        return at, at, at
    start = equals.end()
    quote = html[start : start + 1]
    if quote not in ('"', "'"):
        end = _UNQUOTED.match(html, start).end()  # type: ignore[union-attr]
        return start, end, end
    end = html.find(quote, start + 1)
    return (start + 1, end, end + 1) if end >= 0 else None


def attribute_text(raw: str) -> str:
    """What an attribute's value means. Unlike in text, a name without its semicolon stands for itself where a
    letter, a digit or `=` follows: `?a=1&copy=2` holds no ©."""
    return _REFERENCE.sub(_character, raw) if "&" in raw else raw


def _character(match: re.Match[str]) -> str:
    name = match[0][1:]
    return unescape(match[0]) if name.startswith("#") else html5.get(name, match[0])
