"""Providers' callbacks at ingest: what is theirs is on the log, what is forged is not."""

import asyncio
import base64
import hmac
import json
from collections.abc import Iterator
from hashlib import sha1, sha256
from urllib.parse import urlencode

import httpx
import msgspec
import pytest

from headrace.contracts.provider_callback import ProviderCallback
from headrace.contracts.topics import PROVIDER_CALLBACKS, partition_of
from headrace.log.connect import connect_log
from tests.e2e.ingest_rig import PARTITIONS, running_ingest

BASE = "https://hooks.shop.test"
OURS = "s" + "0" * 32
FORM = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+420601000001", "From": "+420777000000"}


@pytest.fixture(scope="module")
def prefix() -> str:
    return "hooks."


@pytest.fixture(scope="module")
def ingest(log_server_url: str, prefix: str) -> Iterator[str]:
    settings = {
        "HEADRACE_TOPIC_PREFIX": prefix,
        "HEADRACE_HOOKS_URL": BASE,
        "HEADRACE_HOOK_TOKEN": "hook-token",
        "HEADRACE_SMS_URL": "bulkgate://1:t@portal.test?sender=gText:Shop twilio://AC1:old%2Ftoken@api.test?from=%2B1",
        "HEADRACE_WHATSAPP_URL": "whatsapp://1:t@graph.test?app_secret=shh&verify_token=verify",
    }
    with running_ingest(log_server_url, **settings) as url:
        yield url


def twilio_signature(query: str, form: dict[str, str], token: str = "old/token", digest: object = sha1) -> str:
    url = f"{BASE}/v1/hooks/twilio{query}"
    signed = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), digest)).decode()  # type: ignore[arg-type]


def taken(log_url: str, prefix: str) -> list[tuple[str, int, ProviderCallback]]:
    """(key, partition, value) of every callback on the log."""

    async def read() -> list[tuple[str, int, ProviderCallback]]:
        log = await connect_log(log_url, rollback_horizon_ms=600_000)
        try:
            found = []
            for q in range(PARTITIONS):
                for record in await log.read(prefix + PROVIDER_CALLBACKS.name, q, 0):
                    value = msgspec.json.decode(record.value or b"", type=ProviderCallback)
                    found.append(((record.key or b"").decode(), q, value))
            return found
        finally:
            await log.close()

    return asyncio.run(read())


@pytest.mark.parametrize("digest", [sha1, sha256])
def test_twilio_is_known_by_its_signature(ingest: str, log_server_url: str, prefix: str, digest: object) -> None:
    query = f"?m={OURS}"
    before = len(taken(log_server_url, prefix))
    headers = {"X-Twilio-Signature": twilio_signature(query, FORM, digest=digest)}
    answer = httpx.post(f"{ingest}/v1/hooks/twilio{query}", data=FORM, headers=headers)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/xml")
    *_, (key, partition, value) = sorted(taken(log_server_url, prefix), key=lambda one: one[2].received_at)
    assert len(taken(log_server_url, prefix)) == before + 1
    assert (key, partition) == (OURS, partition_of(OURS, PARTITIONS))
    assert (value.provider, value.query, value.body) == ("twilio", f"m={OURS}", urlencode(FORM))


@pytest.mark.parametrize(
    ("query", "form", "signature"),
    [
        (f"?m={OURS}", FORM, ""),
        (f"?m={OURS}", FORM, twilio_signature(f"?m={OURS}", FORM, token="guessed")),
        (f"?m={OURS}x", FORM, twilio_signature(f"?m={OURS}", FORM)),
        (f"?m={OURS}", {**FORM, "MessageStatus": "failed"}, twilio_signature(f"?m={OURS}", FORM)),
        (f"?m={OURS}", {**FORM, "Extra": "1"}, twilio_signature(f"?m={OURS}", FORM)),
    ],
)
def test_what_twilio_did_not_sign_is_refused(
    ingest: str, log_server_url: str, prefix: str, query: str, form: dict[str, str], signature: str
) -> None:
    before = len(taken(log_server_url, prefix))
    headers = {"X-Twilio-Signature": signature}
    assert httpx.post(f"{ingest}/v1/hooks/twilio{query}", data=form, headers=headers).status_code == 403
    assert len(taken(log_server_url, prefix)) == before


def test_the_official_client_signs_as_we_check(ingest: str) -> None:
    validator = pytest.importorskip("twilio.request_validator").RequestValidator("old/token")
    query = f"?m={OURS}&x=%2B1"
    headers = {"X-Twilio-Signature": validator.compute_signature(f"{BASE}/v1/hooks/twilio{query}", FORM)}
    assert httpx.post(f"{ingest}/v1/hooks/twilio{query}", data=FORM, headers=headers).status_code == 200


def test_whatsapp_proves_itself_and_asks_us_to(ingest: str, log_server_url: str, prefix: str) -> None:
    body = json.dumps({"entry": []}).encode()
    signature = "sha256=" + hmac.digest(b"shh", body, sha256).hex()
    url = f"{ingest}/v1/hooks/whatsapp"
    assert httpx.post(url, content=body, headers={"X-Hub-Signature-256": signature}).status_code == 200
    assert httpx.post(url, content=body + b" ", headers={"X-Hub-Signature-256": signature}).status_code == 403
    asked = {"hub.mode": "subscribe", "hub.verify_token": "verify", "hub.challenge": "42"}
    assert httpx.get(url, params=asked).text == "42"
    assert httpx.get(url, params={**asked, "hub.verify_token": "guess"}).status_code == 403
    assert any(value.provider == "whatsapp" for _, _, value in taken(log_server_url, prefix))


def test_who_signs_nothing_shows_a_token_that_is_not_kept(ingest: str, log_server_url: str, prefix: str) -> None:
    url = f"{ingest}/v1/hooks/bulkgate"
    said = {"status": "1", "smsID": "b1", "token": "hook-token"}
    assert httpx.get(url, params=said).status_code == 200
    assert httpx.get(url, params={**said, "token": "guess"}).status_code == 403
    assert httpx.post(f"{ingest}/v1/hooks/email?token=hook-token", content=b"\xff report").status_code == 200
    assert httpx.post(f"{ingest}/v1/hooks/email", content=b"x").status_code == 403
    kept = [value for _, _, value in taken(log_server_url, prefix)]
    assert not any("hook-token" in value.query for value in kept)
    assert any(value.query == "status=1&smsID=b1" for value in kept)
    assert any(value.body == "\ufffd report" for value in kept)


def test_what_is_too_large_or_nobody_s_is_refused(ingest: str) -> None:
    assert httpx.post(f"{ingest}/v1/hooks/nobody", content=b"x").status_code == 404
    big = httpx.post(f"{ingest}/v1/hooks/email?token=hook-token", content=b"x" * 300_000)
    assert big.status_code == 413


def test_without_secrets_nothing_is_taken(log_server_url: str) -> None:
    with running_ingest(log_server_url, HEADRACE_TOPIC_PREFIX="hooks-bare.") as url:
        for provider in ("twilio", "whatsapp", "bulkgate", "email"):
            answer = httpx.post(f"{url}/v1/hooks/{provider}?token=", content=b"x")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_configured")
