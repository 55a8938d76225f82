"""Links outlive a change of the key that signs them, whichever process made them, until a key is withdrawn."""

import httpx
import pytest

from services.messenger.assembly import Messenger
from services.messenger.tokens import SETTLED_MS, Keyring, SigningKey, signing
from tests.unit.messenger.rig import TOKEN, Rig

ADMIN = {"Authorization": f"Bearer {TOKEN}"}


def key(number: int, created_at: int, retired_at: int | None = None) -> SigningKey:
    return SigningKey(number, bytes([number]) * 32, created_at, retired_at)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([key(1, 0)], 1),
        ([key(1, 1_000_000)], 1),
        ([key(1, 0), key(2, 1_000_000 - SETTLED_MS + 1)], 1),
        ([key(1, 0), key(2, 1_000_000 - SETTLED_MS)], 2),
        ([key(1, 0), key(2, 0), key(3, 999_999)], 2),
        ([key(1, 0), key(2, 0, retired_at=5)], 1),
        ([key(1, 0, retired_at=5), key(2, 999_000), key(3, 999_999)], 2),
    ],
)
def test_the_newest_key_that_every_process_knows_signs(keys: list[SigningKey], expected: int) -> None:
    assert signing(keys, 1_000_000) == expected


def test_without_a_key_nothing_can_be_signed() -> None:
    with pytest.raises(ValueError, match="retired"):
        signing([key(1, 0, retired_at=1)], 5)


def test_a_withdrawn_key_still_hashes_addresses() -> None:
    """Suppressions stay those of the same people."""
    before = Keyring.of([key(1, 0)], 0)
    after = Keyring.of([key(1, 0, retired_at=1), key(2, 0)], SETTLED_MS)
    assert after.address_hash("email", "a@b.cz") == before.address_hash("email", "a@b.cz")
    assert after.verify("open", before.sign("open", "s1")) is None


async def admin(messenger: Messenger, method: str, path: str = "") -> httpx.Response:
    transport = httpx.ASGITransport(messenger.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://m", headers=ADMIN) as client:
        return await client.request(method, f"/v1/signing-keys{path}")


def token(messenger: Messenger) -> str:
    return messenger.signing_keys._keyring.sign("open", "s1")


def opens(messenger: Messenger, signed: str) -> bool:
    return messenger.signing_keys._keyring.verify("open", signed) == "s1"


async def test_a_rotation_over_two_processes(rig: Rig) -> None:
    one, two = await rig.assemble(), await rig.assemble()
    old = token(one)
    made = (await admin(one, "POST")).json()
    assert made["id"] == 2
    assert "secret" not in made
    assert token(one).startswith("1."), "the other process does not know the new key yet"
    await two.signing_keys.look()
    rig.clock.now += SETTLED_MS
    await one.signing_keys.look()
    new = token(one)
    assert new.startswith("2.")
    three = await rig.assemble()
    assert token(three).startswith("2.")
    assert all(opens(each, signed) for each in (one, two, three) for signed in (old, new))


async def test_a_process_that_starts_right_after_a_rotation_signs_with_what_all_know(rig: Rig) -> None:
    one = await rig.assemble()
    await admin(one, "POST")
    assert token(await rig.assemble()).startswith("1.")


async def test_a_key_that_leaked_is_withdrawn(rig: Rig) -> None:
    one = await rig.assemble()
    old = token(one)
    assert (await admin(one, "DELETE", "/1")).status_code == 409
    await admin(one, "POST")
    assert (await admin(one, "DELETE", "/1")).json()["code"] == "key_in_use"
    rig.clock.now += SETTLED_MS
    assert (await admin(one, "DELETE", "/1")).status_code == 200
    assert not opens(one, old)
    assert opens(one, token(one))
    other = await rig.assemble()
    assert not opens(other, old)
    items = (await admin(one, "GET")).json()["items"]
    assert [(item["id"], item["signs"], item["retired_at"] is not None) for item in items] == [
        (1, False, True),
        (2, True, False),
    ]


async def test_an_unknown_key_is_said(rig: Rig) -> None:
    assert (await admin(await rig.assemble(), "DELETE", "/7")).status_code == 404
