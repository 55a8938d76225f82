"""Making bad input of good input. All chance comes from the Random that is handed in: a seed repeats it."""

import copy
from collections.abc import Iterator, MutableMapping, MutableSequence
from random import Random
from typing import Any

NASTY_BYTES = (
    b"",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\\u0000",
    b"\\ud800",
    b"\r\n",
    b"\n",
    b'"',
    b"'",
    b"&a *a",
    b"{" * 300,
    b"[" * 2_000,
    b"1" * 5_000,
    b"1e400",
    b"NaN",
    b"-0",
    b"=cmd|' /C calc'!A0",
    b"%00%ff%",
    b"${7*7}{{7*7}}{%",
    b"18446744073709551616",
    b"x" * 9_000,
)
NASTY_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    2**53,
    2**63,
    10**400,
    -1e308,
    "",
    " ",
    "\0",
    "a\0b",
    "\u202e",
    "e\u0301" * 300,
    "\U0001f600",
    "x" * 70_000,
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "999999999999999999999d",
    "(((((a+)+)+)+)+)+$",
    "{{ customer.traits.x | times: 99999999999999999999 }}",
    "{% for a in (1..99999999999) %}{% endfor %}",
    "../../../etc/passwd",
    "http://169.254.169.254/",
    [],
    {},
    [[[[[[[[[[[[]]]]]]]]]]]],
    {"$ref": "#"},
    {"__proto__": {"a": 1}, "": 0},
)


def mutated_bytes(random: Random, data: bytes) -> bytes:
    """`data` with one to four things done to it."""
    for _ in range(random.randint(1, 4)):
        data = _changed(random, data)
    return data


def _changed(random: Random, data: bytes) -> bytes:
    first, last = sorted((random.randint(0, len(data)), random.randint(0, len(data))))
    last = min(last, first + 200)
    kind = random.randrange(6)
    if kind == 0:
        return data[:first] + bytes([random.randrange(256)]) + data[first + 1 :]
    if kind == 1:
        return data[:first] + data[last:]
    if kind == 2:
        return data[:last] + data[first:last] + data[last:]
    if kind == 3:
        return data[:first]
    return data[:first] + random.choice(NASTY_BYTES) + data[first if kind == 4 else last :]


def mutated_document(random: Random, document: Any) -> Any:
    """A copy with one to three of its values replaced, left out, doubled or nested deeper."""
    changed = copy.deepcopy(document)
    for _ in range(random.randint(1, 3)):
        places = list(_places(changed))
        if places:
            _change(random, *random.choice(places))
    return changed


Node = MutableMapping[str, Any] | MutableSequence[Any]


def _places(node: Any) -> Iterator[tuple[Node, Any]]:
    if isinstance(node, dict):
        for key, inner in node.items():
            yield node, key
            yield from _places(inner)
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield node, number
            yield from _places(inner)


def _change(random: Random, node: Any, key: Any) -> None:
    kind = random.randrange(8)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[random.choice(("", "\0", "x" * 300, "all", "when", "$", "a.b"))] = node.pop(key)
    elif kind == 2:
        node[key] = [copy.deepcopy(node[key])] * random.choice((1, 2, 1_000))
    elif kind == 3:
        for _ in range(random.choice((1, 30, 200))):
            node[key] = {"not": node[key]}
    else:
        node[key] = copy.deepcopy(random.choice(NASTY_VALUES))
