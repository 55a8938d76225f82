"""Every way in that a value may take, with canaries: what customers, administrators, providers and engines say."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import asyncpg
import httpx
import pytest

from headrace.contracts.topics import EVENTS, MESSAGES, PROFILE_EVENTS, PROVIDER_CALLBACKS
from headrace.log.connect import connect_log
from headrace.log.port import NewRecord
from tests.e2e.api import Api
from tests.e2e.canaries import CANARIES
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

C = CANARIES
WHO = {"userId": C["user id"], "anonymousId": C["anonymous id"]}
PERSON = {
    "name": C["name"],
    "first_name": C["name"],
    "email": C["email"],
    "phone": C["phone"],
    "address": {"street": C["address"]},
}
CONTEXT = {"ip": C["ip address"], "page": {"path": C["address of a page"]}, "userAgent": C["user agent"]}
PROPERTIES = {"note": C["note"], C["key of a property"]: 1}
TRACK = {
    **WHO,
    "type": "track",
    "event": C["event name"],
    "messageId": C["message id"],
    "properties": PROPERTIES,
    "context": CONTEXT,
}
BROWSER = {"cookie": f"a={C['cookie']}", "referer": C["referer"], "user-agent": C["user agent"]}
QUERY = f"?q={C['query string']}"
DEFINITION = json.dumps({"name": C["note"], "when": {"trait": {"name": "last_name", "eq": C["segment filter"]}}})
STRANGER = {"authorization": f"Bearer {C['wrong token']}"}

Statuses = dict[str, int]


@dataclass
class BadProvider:
    """Takes SMS and refuses them, quoting what it was sent."""

    port: int = 0
    forms: list[dict[str, list[str]]] = field(default_factory=list)


@contextmanager
def bad_provider() -> Iterator[BadProvider]:
    provider, words = BadProvider(), C["provider words"]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            body = json.dumps({"code": f"{words}: {form}", "message": f"{words}: {form}"}).encode()
            self.send_response(400, words)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            provider.forms.append(form)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.port = server.server_address[1]
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield provider
    server.shutdown()
    server.server_close()


def everything(stack: Stack, api: Api) -> Statuses:
    """Send all canaries through every way in; what was answered, by way."""
    statuses = good_events(stack)
    found = wait_until(lambda: api.profile("email", C["email"]), 30, what="the customer")
    statuses |= bad_events(stack) | forged_calls(stack)
    with administrator(stack) as client:
        statuses |= asked_of_profiles(stack, client, found["id"])
        statuses |= asked_of_messenger(stack, client) | asked_of_segmenter(stack, client)
    statuses |= public_links(stack)
    asyncio.run(bad_records(stack))
    asyncio.run(bad_statements(stack.setting("HEADRACE_DATABASE_URL")))
    return statuses | without_database(stack)


def fresh(**settings: Any) -> httpx.Client:
    """A client with a connection for each request: one on which a request has failed is closed."""
    return httpx.Client(**settings, limits=httpx.Limits(max_keepalive_connections=0), timeout=30, trust_env=False)


def administrator(stack: Stack) -> httpx.Client:
    return fresh(headers={"Authorization": f"Bearer {stack.admin_token}"})


def ingest(stack: Stack, key: str | None = None) -> httpx.Client:
    return fresh(base_url=stack.ingest_url, auth=(key or stack.write_key, ""), headers=BROWSER)


def good_events(stack: Stack) -> Statuses:
    consent = {**WHO, "event": "Consent Given", "properties": {"channel": "sms"}}
    with ingest(stack) as client:
        return {
            "identify": client.post(
                "/v1/identify", json={**WHO, "traits": PERSON, "context": CONTEXT}
            ).status_code,
            "consent": client.post("/v1/track", json=consent).status_code,
            "track": client.post(f"/v1/track{QUERY}", json=TRACK).status_code,
            "again, otherwise": client.post("/v1/track", json={**TRACK, "properties": {}}).status_code,
            "import": client.post("/v1/import", json={"batch": [TRACK]}).status_code,
        }


def bad_events(stack: Stack) -> Statuses:
    cell = C["cell of an import"]
    table = f"id,note\n{C['user id']},{cell}\n,{cell}\n".encode()
    too_large = {**TRACK, "properties": {"note": C["note"] * 5_000}}
    nul = {**WHO, "traits": {"note": f"{C['note']}\0"}}
    with ingest(stack) as client, ingest(stack, C["wrong write key"]) as stranger:
        sent = {
            "malformed": client.post("/v1/track", content=f'{{"userId": "{C["user id"]}", "x"'.encode()),
            "types": client.post("/v1/batch", json={"batch": [{**TRACK, "type": C["note"]}, C["note"]]}),
            "context": client.post("/v1/batch", json={"batch": [{**TRACK, "context": C["ip address"]}]}),
            "too large": client.post("/v1/track", json=too_large),
            "nul": client.post("/v1/identify", json=nul),
            "no such path": client.post(f"/v1/{C['link']}{QUERY}", json=TRACK),
            "other method": client.put(f"/v1/track{QUERY}", json=TRACK),
            "pixel": client.get(f"/pixel/v1/track{QUERY}&writeKey={C['wrong write key']}"),
            "table": client.post(
                f"/v1/import?mapping={cell}", content=table, headers={"content-type": "text/csv"}
            ),
            "settings": client.get(f"/v1/projects/{C['wrong write key']}/settings"),
            "wrong key": stranger.post("/v1/track", json=TRACK, headers={"x-write-key": C["wrong write key"]}),
        }
    return {way: answer.status_code for way, answer in sent.items()}


def forged_calls(stack: Stack) -> Statuses:
    """Of providers and of administrators, at ingest; and one that is right."""
    said = json.dumps({"from": C["phone"], "message": C["note"]}).encode()
    with fresh(base_url=stack.ingest_url, headers=BROWSER) as client:
        sent = {
            "hook": client.post(f"/v1/hooks/bulkgate?token={C['wrong token']}", content=said),
            "twilio": client.post(f"/v1/hooks/twilio?m={C['link']}", data={"To": C["phone"]}),
            "inbound": client.post("/v1/hooks/bulkgate?token=hook-token", content=said),
            "dead letters": client.get("/v1/dead-letters", headers=STRANGER),
        }
    return {way: answer.status_code for way, answer in sent.items()}


def asked_of_profiles(stack: Stack, client: httpx.Client, profile_id: str) -> Statuses:
    """What administrators ask and change, rightly and wrongly."""
    base = f"{stack.profiles_url}/v1"
    one, lookup = f"{base}/profiles/{profile_id}", f"{base}/profiles/lookup"
    consent = {"channel": C["note"], "wording": C["note"]}
    sent = {
        "found": client.get(lookup, params=kind("email", C["email"])),
        "not found": client.get(lookup, params=kind("email", f"x{C['email']}")),
        "no such kind": client.get(lookup, params=kind(C["note"], C["email"])),
        "too long": client.get(lookup, params=kind("email", C["email"] + "x" * 5_000)),
        "search": client.get(f"{base}/profiles", params={"query": C["name"]}),
        "bad cursor": client.get(f"{base}/profiles", params={"cursor": C["query string"]}),
        "wrong token": client.get(f"{base}/profiles", headers=STRANGER),
        "export": client.get(f"{one}/export"),
        "events": client.get(f"{one}/events", params={"event": C["event name"]}),
        "no such profile": client.get(f"{base}/profiles/{C['user id']}"),
        "nul in a path": client.get(f"{base}/profiles/{C['user id']}%00"),
        "merge": client.post(f"{one}/merge", json={"into": C["user id"]}),
        "consent of": client.post(f"{one}/consents", json=consent),
        "tags": client.post(f"{one}/tags", json={"add": [C["note"]], "reason": C["note"]}),
        "control": client.post(f"{base}/control", content=f'{{"id": "{C["user id"]}\\u0000"'.encode()),
    }
    return {f"profiles: {way}": answer.status_code for way, answer in sent.items()}


def asked_of_messenger(stack: Stack, client: httpx.Client) -> Statuses:
    base = f"{stack.messenger_url}/v1"
    address = {"channel": "sms", "address": C["phone"]}
    template = {"channel": "sms", "text": C["template"]}
    unfinished = f"channel: sms\ntext: '{{{{ {C['template']}'".encode()
    codes = f"{C['voucher code']}\n{C['voucher code']}\n"
    sent = {
        "suppress": client.post(f"{base}/suppressions", json={**address, "reason": "manual"}),
        "suppress wrongly": client.post(f"{base}/suppressions", json={**address, "reason": C["note"]}),
        "suppressions": client.get(f"{base}/suppressions", params=address),
        "lift": client.request("DELETE", f"{base}/suppressions", json=address),
        "template": client.put(f"{base}/templates/x", content=unfinished),
        "preview": client.post(f"{base}/preview", json={"template": template, "profile": PERSON}),
        "trial": client.post(f"{base}/templates/sms/test", json={"to": C["phone"], "profile": PERSON}),
        "campaign": client.put(f"{base}/campaigns/x", content=f"name: {C['note']}".encode()),
        "messages": client.get(f"{base}/messages", params={"status": C["note"]}),
        "pool": client.put(f"{base}/vouchers/birds", json={"name": "Birds"}),
        "codes": client.post(f"{base}/vouchers/birds/codes", content=codes),
    }
    return {f"messenger: {way}": answer.status_code for way, answer in sent.items()}


def asked_of_segmenter(stack: Stack, client: httpx.Client) -> Statuses:
    base, secret = f"{stack.segmenter_url}/v1", C["receiver secret"]
    condition = {"trait": {"name": "last_name", "eq": C["segment filter"]}}
    target = {"url": f"https://127.0.0.1:1/{secret}?token={secret}", "secret": secret}
    sent = {
        "segment": client.put(f"{base}/segments/x", content=f"when: {C['segment filter']}".encode()),
        "preview": client.post(f"{base}/segments/preview", json={"when": condition}),
        "explain": client.get(f"{base}/segments/birds/explain/{C['user id']}"),
        "segments of": client.get(f"{base}/lookup/email/{C['email']}/segments"),
        "subscription": client.put(f"{base}/subscriptions/x", json=target),
    }
    return {f"segmenter: {way}": answer.status_code for way, answer in sent.items()}


def kind(word: str, value: str) -> Mapping[str, str]:
    return {"type": word, "value": value}


def public_links(stack: Stack) -> Statuses:
    """Links as customers get them, broken, with what browsers send along."""
    with fresh(headers=BROWSER) as client:
        return {
            f"{method} /{page}": client.request(method, f"{base}/{page}/{C['link']}{QUERY}").status_code
            for base, pages in ((stack.messenger_url, "upco"), (stack.profiles_url, "s"))
            for page in pages
            for method in ("GET", "POST")
        }


async def bad_records(stack: Stack) -> None:
    """What no service can read or store, on every topic that one reads."""
    garbage = f'{{"userId": "{C["user id"]}", {C["note"]}'.encode()
    enum: dict[str, Any] = {"type": C["note"], "userId": C["user id"]}
    poison = {
        **{"type": "identify", "messageId": "poison", "source": "s", "userId": C["user id"]},
        **{"timestamp": "2024-01-01T00:00:00.000Z", "receivedAt": "2024-01-01T00:00:00.000Z"},
        "traits": {"nickname": f"{C['name']}\0"},
    }
    log = await connect_log(stack.setting("HEADRACE_LOG_URL"), rollback_horizon_ms=600_000)
    try:
        for topic in (EVENTS, MESSAGES, PROFILE_EVENTS, PROVIDER_CALLBACKS):
            records = [NewRecord(C["user id"].encode(), value) for value in (garbage, json.dumps(enum).encode())]
            await log.append(stack.topic(topic), 0, records)
        await log.append(stack.topic(EVENTS), 0, [NewRecord(b"k", json.dumps(poison).encode())])
    finally:
        await log.close()


async def bad_statements(url: str) -> None:
    """What Postgres refuses, quoting it: a value that is there already, one that is too long, one that is none."""
    email, note = C["email"], C["note"]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TEMP TABLE bird (email varchar(60) PRIMARY KEY)")
        await connection.execute("INSERT INTO bird VALUES ($1)", email)
        for statement, arguments in (
            ("INSERT INTO bird VALUES ($1)", (email,)),
            (f"INSERT INTO bird VALUES ('{email}')", ()),
            ("INSERT INTO bird VALUES ($1)", (note * 9,)),
            (f"SELECT '{note}'::int", ()),
            (f'SELECT "{note}" FROM bird', ()),
        ):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(statement, *arguments)
    finally:
        await connection.close()


def without_database(stack: Stack) -> Statuses:
    """Requests while Postgres is away: they fail with tracebacks, or meet one that starts anew. Until all are
    ready again."""
    lookup = ("GET", f"{stack.profiles_url}/v1/profiles/lookup?type=email&value={C['email']}", "")
    calls = (
        lookup,
        ("GET", f"{stack.messenger_url}/v1/messages?profile_id={C['user id']}", ""),
        ("GET", f"{stack.messenger_url}/u/{C['link']}{QUERY}", ""),
        ("PUT", f"{stack.segmenter_url}/v1/segments/x", DEFINITION),
    )
    killed, statuses = stack.kill_service("postgres"), {}
    with administrator(stack) as client, ingest(stack) as shopper:
        shopper.post("/v1/identify", json={**WHO, "traits": PERSON})  # a batch fails, and is repeated
        for method, url, body in calls:
            with suppress(httpx.TransportError):
                statuses[f"without Postgres: {url}"] = client.request(method, url, content=body).status_code
        stack.wait_restarted("postgres", killed, 60)
        for service in ("ingest", "profiles", "segmenter", "messenger"):
            wait_until(partial(ready, client, stack.url(service)), 60, what=f"{service} to be ready again")
    return statuses


def ready(client: httpx.Client, url: str) -> bool:
    with suppress(httpx.TransportError):
        return client.get(f"{url}/readyz").status_code == 200
    return False
