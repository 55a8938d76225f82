"""The API of webhook subscriptions: secrets shown once, mistakes explained, never a 500."""

from headrace.runtime.webhooks.address import PUBLIC
from headrace.runtime.webhooks.signature import read_secret
from tests.e2e.webhooks.rig import Process, WebhookRig, address, change
from tests.webhook_receiver import Receiver

URL = "https://hooks.example.com/x"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DAY = 86_400_000
NUL = "a%00b"


async def test_a_secret_is_answered_when_it_is_made_and_never_again(process: Process) -> None:
    made = await process.put("shop", url=URL)
    assert len(read_secret(made["secret"])) == 32
    shown = await process.get("shop")
    listed = (await process.get(""))["items"]
    again = await process.put("shop", url=URL)
    for found in (shown, *listed, again):
        assert found["secret"] == "whsec_…" + made["secret"][-4:]
    rotated = await process.post("shop/rotate")
    assert len(read_secret(rotated["secret"])) == 32
    assert rotated["secret"] != made["secret"]
    assert (await process.get("shop"))["secret"].endswith(rotated["secret"][-4:])


async def test_what_is_shown(process: Process) -> None:
    await process.put("b", url=URL, segments=["vip", "new"], actions=["exited"], enabled=False, secret=SECRET)
    found = await process.get("b")
    assert found == {
        "id": "b",
        "url": URL,
        "segments": ["new", "vip"],
        "actions": ["exited"],
        "secret": "whsec_…LaSw",
        "old_secret_ends": None,
        "enabled": False,
        "status": "disabled",
        "disabled_reason": "operator",
        "failing_since": None,
        "created_at": "2026-09-21T14:13:20.000Z",
        "updated_at": "2026-09-21T14:13:20.000Z",
        "last_delivery": None,
        "deliveries": {"pending": 0, "delivered": 0, "failed": 0},
    }
    await process.put("a", url=URL)
    first = await process.get("?limit=1")
    assert ([item["id"] for item in first["items"]], first["next"]) == (["a"], "a")
    second = await process.get(f"?limit=10&cursor={first['next']}")
    assert ([item["id"] for item in second["items"]], second["next"]) == (["b"], None)


async def test_after_a_rotation_both_secrets_sign_for_a_day(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    old = (await process.put("shop", url=hooks.url))["secret"]
    new = (await process.post("shop/rotate"))["secret"]
    for wait in (0, DAY - 1, 1):
        rig.now += wait
        await rig.follow(process, change("p1"))
        await process.round()
    signed = [(request.signed_by(new), request.signed_by(old)) for request in hooks.requests]
    assert signed == [([True, False], [False, True])] * 2 + [([True], [False])]


async def test_a_secret_of_ones_own_replaces_as_a_rotation_does(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    old = (await process.put("shop", url=hooks.url))["secret"]
    answered = await process.put("shop", url=hooks.url, secret=SECRET)
    assert answered["secret"] == "whsec_…LaSw"
    await process.put("shop", url=hooks.url, secret=SECRET)
    await rig.follow(process, change("p1"))
    await process.round()
    (request,) = hooks.requests
    assert (request.signed_by(SECRET), request.signed_by(old)) == ([True, False], [False, True])


async def test_a_test_is_sent_now_and_counts_for_nothing(process: Process, hooks: Receiver) -> None:
    secret = (await process.put("shop", url=hooks.url, enabled=False))["secret"]
    answer = await process.post("shop/test")
    assert (answer["status"], answer["response_status"], answer["reason"]) == ("delivered", 200, None)
    (request,) = hooks.requests
    assert request.id == answer["message_id"]
    assert request.signed_by(secret) == [True]
    assert b'"test":true' in request.body
    hooks.answers["/"] = hooks.status(500)
    answer = await process.post("shop/test")
    assert (answer["status"], answer["reason"], answer["response"]) == ("failed", "http_500", "this is 500")
    hooks.answers["/"] = hooks.hang
    assert (await process.post("shop/test"))["reason"] == "timeout"
    shown = await process.get("shop")
    assert (shown["failing_since"], shown["last_delivery"]) == (None, None)


async def test_deliveries_are_listed_newest_first_by_status(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    await process.put("shop", url=hooks.url)
    await rig.follow(process, *(change(f"p{n}") for n in range(5)))
    await process.round()
    hooks.answers["/"] = hooks.status(500)
    (waits,) = await rig.follow(process, change("p9"))
    await process.round()
    first = await process.get("shop/deliveries?limit=2&status=delivered")
    second = await process.get(f"shop/deliveries?limit=9&status=delivered&cursor={first['next']}")
    profiles = [item["profile_id"] for item in (*first["items"], *second["items"])]
    assert (profiles, second["next"]) == ([f"p{n}" for n in (4, 3, 2, 1, 0)], None)
    (waiting,) = await process.deliveries("shop", "pending")
    assert waiting["message_id"] == waits.change.message_id
    assert (waiting["attempts"], waiting["attempts_left"], waiting["response"]) == (1, 9, "this is 500")
    assert waiting["next_attempt_at"] > waiting["attempted_at"]


async def test_a_delivery_in_flight_is_not_retried_besides(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    await process.put("shop", url=hooks.url)
    hooks.answers["/"] = hooks.hang
    await rig.follow(process, change("p1"))
    await process.webhooks.sender.claim_once()
    (waiting,) = await process.deliveries("shop")
    answer = await process.api.post(f"/v1/subscriptions/shop/deliveries/{waiting['id']}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_flight")
    await process.webhooks.sender.idle()


async def test_deleting_ends_it_also_in_flight(rig: WebhookRig, process: Process, hooks: Receiver) -> None:
    await process.put("shop", url=hooks.url)
    hooks.answers["/"] = hooks.hang
    await rig.follow(process, change("p1"), change("p1"))
    await process.webhooks.sender.claim_once()
    await hooks.until(1)
    assert (await process.api.delete("/v1/subscriptions/shop")).json() == {"id": "shop", "status": "deleted"}
    hooks.released.set()
    await process.round()
    await process.webhooks.sender.idle()
    assert len(hooks.requests) == 1
    assert (await process.api.get("/v1/subscriptions/shop")).status_code == 404
    assert await rig.pool.fetchval("SELECT count(*) FROM delivery") == 0


BODIES = {
    "not JSON": b"{",
    "not UTF-8": b"\xff",
    "nothing": b"",
    "a list": b"[]",
    "deep": b"[" * 30_000,
    "no URL": b"{}",
    "NUL in the URL": b'{"url": "https://example.com/\\u0000"}',
    "half a surrogate pair": b'{"url": "https://example.com/\\ud800"}',
    "plain http": b'{"url": "http://example.com/"}',
    "loopback": b'{"url": "https://127.0.0.1/"}',
    "another id": b'{"url": "https://example.com/", "id": "other"}',
    "NUL in a segment": b'{"url": "https://example.com/", "segments": ["a\\u0000"]}',
}


async def test_bad_requests_are_explained(rig: WebhookRig) -> None:
    async with rig.process(reach=PUBLIC) as process:
        await process.put("shop", url=URL)
        for case, body in BODIES.items():
            answer = await process.api.put("/v1/subscriptions/other-one", content=body)
            assert (answer.status_code, bool(answer.json()["problems"])) == (400, True), case
        too_long = await process.api.put("/v1/subscriptions/shop", content=b" " * 100_000)
        assert too_long.status_code == 413
        for method, path, status in (
            ("PUT", "Shop", 400),
            ("GET", "nobody", 404),
            ("GET", NUL, 404),
            ("DELETE", NUL, 404),
            ("DELETE", "nobody", 404),
            ("POST", "nobody/rotate", 404),
            ("POST", f"{NUL}/enable", 404),
            ("POST", "nobody/test", 404),
            ("GET", "nobody/deliveries", 404),
            ("GET", "shop/deliveries?status=lost", 400),
            ("GET", "shop/deliveries?cursor=x", 400),
            ("GET", f"shop/deliveries?cursor={'9' * 30}", 400),
            ("GET", "shop/deliveries?limit=0", 400),
            ("GET", f"?cursor={NUL}", 400),
            ("POST", "shop/deliveries/1/retry", 404),
            ("POST", "shop/deliveries/x/retry", 404),
            ("POST", f"shop/deliveries/{'9' * 19}/retry", 404),
        ):
            answer = await process.api.request(method, address(path), json={"url": URL})
            assert answer.status_code == status, path
            assert answer.json()["success"] is False, path
        assert [item["id"] for item in (await process.get(""))["items"]] == ["shop"]


async def test_all_of_it_needs_the_admin_token(process: Process) -> None:
    await process.put("shop", url=URL)
    for method, path in (
        ("GET", ""),
        ("GET", "/shop"),
        ("PUT", "/shop"),
        ("DELETE", "/shop"),
        ("POST", "/shop/rotate"),
        ("POST", "/shop/enable"),
        ("POST", "/shop/test"),
        ("GET", "/shop/deliveries"),
        ("POST", "/shop/deliveries/1/retry"),
    ):
        headers = {"Authorization": "Bearer other"}
        answer = await process.api.request(method, f"/v1/subscriptions{path}", headers=headers)
        assert answer.status_code == 401, path
    assert (await process.get("shop"))["url"] == URL
