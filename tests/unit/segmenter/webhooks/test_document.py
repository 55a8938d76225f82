"""The receiver's side in docs/webhooks.md, run as it stands there against what we sign."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.runtime.webhooks.signature import sign, write_secret
from services.segmenter.webhooks.attempts import DELAYS_MS

DOCUMENT = (Path(__file__).parents[4] / "docs" / "webhooks.md").read_text(encoding="utf-8")
OLD, NEW, OTHER = (write_secret(bytes([n]) * 32) for n in range(3))
BODY = '{"a": "ž"}'.encode()


@pytest.fixture
def verify() -> Callable[[str, dict[str, str], bytes], str]:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert len(code.splitlines()) <= 20
    names: dict[str, Callable[[str, dict[str, str], bytes], str]] = {}
    exec(code, names)
    return names["verify"]


def headers(*, age: int = 0) -> dict[str, str]:
    at = int(time.time()) - age
    signature = sign([NEW, OLD], "m1", at, BODY)
    return {"webhook-id": "m1", "webhook-timestamp": str(at), "webhook-signature": signature}


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_what_we_sign_is_verified(verify: Callable[..., str], secret: str) -> None:
    assert verify(secret, headers(), BODY) == "m1"


@pytest.mark.parametrize(
    ("secret", "given", "body"),
    [
        (OTHER, headers(), BODY),
        (NEW, headers(), BODY + b" "),
        (NEW, headers() | {"webhook-id": "m2"}, BODY),
        (NEW, headers(age=4_000), BODY),
        (NEW, headers(age=-4_000), BODY),
        (NEW, headers() | {"webhook-signature": "v1,é"}, BODY),
    ],
)
def test_what_we_did_not_sign_is_refused(
    verify: Callable[..., str], secret: str, given: dict[str, str], body: bytes
) -> None:
    with pytest.raises(ValueError, match=r"signed|old"):
        verify(secret, given, body)


def test_the_pauses_are_the_ones_it_names() -> None:
    units = {"s": 1_000, "min": 60_000, "h": 3_600_000}
    (listed,) = re.findall(r"tried again after (.*?), each", DOCUMENT)
    pauses = [each.split(" ") for each in listed.split(", ")]
    assert tuple(int(number) * units[unit] for number, unit in pauses) == DELAYS_MS
