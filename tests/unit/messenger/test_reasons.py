"""Why a message was not sent: a closed set, which the documentation lists and the API explains."""

import re
from pathlib import Path
from typing import get_args

import httpx

from services.messenger import reasons
from services.messenger.cascade import NEXT_CHANNEL_REASONS
from services.messenger.reasons import DEFERRED_REASONS, FAILED_REASONS, SKIP_REASONS, UNKNOWN_REASONS, sentence
from tests.unit.messenger.rig import TOKEN, Rig, eventually
from tests.unit.messenger.test_once import settled

ROOT = Path(__file__).parents[3]
SOURCES = sorted((ROOT / "services" / "messenger").rglob("*.py"))
# What SQL writes itself; all else is of the type SkipReason, which mypy looks after.
SKIPPED_BY_SQL = [
    re.compile(r"status = 'skipped',\s+reason = '(\w+)'"),
    re.compile(r"reason = CASE status WHEN 'pending' THEN '(\w+)'"),
]


def test_every_reason_has_its_sentence() -> None:
    assert set(get_args(reasons.SkipReason)) == set(SKIP_REASONS)
    assert set(get_args(reasons.DeferredReason)) == set(DEFERRED_REASONS)
    assert set(get_args(reasons.FailedReason)) == set(FAILED_REASONS)
    sentences = [*SKIP_REASONS.values(), *DEFERRED_REASONS.values(), *FAILED_REASONS.values()]
    assert all(text[0].isupper() and text.endswith(".") for text in sentences)
    assert set(NEXT_CHANNEL_REASONS) <= {*SKIP_REASONS, *FAILED_REASONS}


def test_sql_knows_no_other_reason() -> None:
    found = {name for path in SOURCES for pattern in SKIPPED_BY_SQL for name in pattern.findall(path.read_text())}
    assert found == {"merged", "erased"}
    assert found <= set(SKIP_REASONS)


def test_the_documentation_lists_every_reason_and_no_other() -> None:
    text = (ROOT / "docs" / "campaigns.md").read_text()
    table = text.split("Every message that is not sent has a reason")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert listed == {*SKIP_REASONS, *DEFERRED_REASONS, *FAILED_REASONS, *UNKNOWN_REASONS}


def test_a_providers_own_reason_has_no_sentence() -> None:
    assert sentence("21610") is None
    assert sentence(None) is None


async def test_the_api_says_why_in_words(rig: Rig) -> None:
    await rig.customer("p1", consent=None)
    async with rig.running() as messenger:
        await rig.enter("p1", "e1")
        await eventually(lambda: settled(rig))
        transport = httpx.ASGITransport(messenger.app)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test", headers=headers) as client:
            (item,) = (await client.get("/v1/messages")).json()["items"]
    assert (item["status"], item["reason"]) == ("skipped", "no_consent")
    assert item["reason_text"] == SKIP_REASONS["no_consent"]
