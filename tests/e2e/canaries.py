"""Values that must show up nowhere but in the stores, and the ways in which a text may hold one."""

import base64
import json
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

CANARIES: Mapping[str, str] = {
    "name": "Žlutý Kanárek",
    "email": "zluty.kanarek@ptaci.test",
    "phone": "+420601999777",
    "address": "Ptačí klec 7781",
    "user id": "kanarek-uzivatel-7781",
    "anonymous id": "kanarek-navstevnik-7782",
    "message id": "kanarek-zprava-7783",
    "event name": "Kanarek Odletel",
    "note": "ztratil se mi žlutý kanárek",
    "address of a page": "/klec/kanarek-7784",
    "ip address": "203.0.113.177",
    "template": "Kanáří šablona",
    "segment filter": "kanarek-filtr-7785",
    "wrong write key": "kanarek-klic-7786",
    "wrong token": "kanarek-token-7787",
    "query string": "kanarek-dotaz-7788",
    "cookie": "kanarek-cookie-7789",
    "link": "kanarek-odkaz-7790",
    "referer": "kanarek-referer-7791",
    "user agent": "Kanarek/7792",
    "provider words": "kanarek-operator-7793",
    "voucher code": "KANAREK7794",
    "receiver secret": "kanarek-prijemce-7795",
    "cell of an import": "kanarek-bunka-7796",
    "key of a property": "kanarek_klic_7797",
}


def forms(value: str) -> frozenset[str]:
    """The value in lower case as people, URLs, JSON, reprs and base64 write it."""
    digits = {value[4:]} if value.startswith("+420") else set()
    escaped = json.dumps(value)[1:-1]
    plain = {value, quote(value), quote(value, safe=""), quote_plus(value), escaped, repr(value)[1:-1]} | digits
    return frozenset(form.lower() for form in plain | {ascii(value)[1:-1]}) | _in_base64(value.encode())


def leaks(text: str, canaries: Mapping[str, str] = CANARIES) -> dict[str, str]:
    """Which of the values the text holds, with the line of the first place."""
    lines = text.splitlines()
    lowered = [line.lower() for line in lines]
    found = {}
    for what, value in canaries.items():
        lower, encoded = forms(value), _in_base64(value.encode())
        for line, low in zip(lines, lowered, strict=True):
            if any(form in low for form in lower) or any(form in line for form in encoded):
                found[what] = line
                break
    return found


def _in_base64(raw: bytes) -> frozenset[str]:
    """What stays of the value in base64, wherever in a text it begins."""
    found = set()
    for before, first in ((0, 0), (1, 2), (2, 3)):
        last = -4 if (before + len(raw)) % 3 else None
        found.add(base64.b64encode(b"\0" * before + raw).decode()[first:last])
    return frozenset(found)
