"""The shipped campaigns on the whole platform: applied, previewed in Czech, and one of them carried out."""

import email
import email.policy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.documents import KINDS, in_order, read_documents
from headrace.cli.shipped import example
from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

CAMPAIGNS = sorted(example("campaigns").glob("*.yaml"))
SEGMENTS = (
    *("birthday", "cart-abandoners", "high-spending", "life-cycle", "two-orders", "vip", "weekend-shoppers"),
    "win-back",
)
FILES = [*(example(f"segments/{name}.yaml") for name in SEGMENTS), example("templates/thanks.yaml"), *CAMPAIGNS]
DOCUMENTS, _ = read_documents(FILES)
TEMPLATES = sorted(one.id for one in DOCUMENTS if one.kind == "template")
PRODUCTS = [{"name": "Káva Brazílie", "price": 289}, {"name": "Čaj Assam", "price": 149}]
VOUCHER = {"code": "VITEJTE-ABCDEFGH", "value": "10 %", "expires_at": "2026-12-24T12:00:00Z"}


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[Api]:
    """With all examples applied; nothing of them is left for other tests. The policy is not applied: it would hold
    for the messages of other tests too."""
    api = Api(stack)
    api.headrace("apply", "--wait", "-f", *FILES)
    yield api
    for one in reversed(in_order(DOCUMENTS)):
        kind = KINDS[one.kind]
        api.admin.delete(f"{stack.url(kind.service)}{kind.path}/{one.id}")
    api.close()


@pytest.fixture(scope="module")
def eva(api: Api) -> str:
    """The profile id of a Czech customer who agreed to e-mail."""
    traits = {"first_name": "Eva", "email": "eva@examples.test", "phone": "+420601777001", "locale": "cs-CZ"}
    api.post("/v1/identify", {"userId": "examples-eva", "traits": traits}).raise_for_status()
    consent = {"userId": "examples-eva", "event": "Consent Given", "properties": {"channel": "email"}}
    api.post("/v1/track", consent).raise_for_status()
    found = wait_until(lambda: api.profile("user_id", "examples-eva"), 20, what="the customer")
    assert found is not None
    return str(found["id"])


@pytest.mark.parametrize("file", CAMPAIGNS, ids=lambda file: file.stem)
def test_everything_in_a_file_is_there(api: Api, file: Path) -> None:
    documents, wrong = read_documents([file])
    assert wrong == []
    for one in documents:
        kind = KINDS[one.kind]
        stored = api.get(kind.service, f"{kind.path}/{one.id}")
        assert stored["id"] == one.id
        if one.kind in ("campaign", "segment"):
            assert stored["status"] == "live"


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_finished_for_a_customer(api: Api, eva: str, template: str) -> None:
    body = {"profile_id": eva, "voucher": VOUCHER, "event": {"properties": {"products": PRODUCTS}}}
    url = f"{api.stack.messenger_url}/v1/templates/{template}/preview"
    shown: dict[str, Any] = api.admin.post(url, json=body).raise_for_status().json()
    assert shown["missing"] == []
    texts = [shown[field] for field in ("subject", "text", "html") if shown.get(field)]
    assert texts
    assert not any("{{" in text or "{%" in text or "<mj-" in text for text in texts)
    if shown["channel"] == "sms":
        assert (shown["sms"]["encoding"], shown["sms"]["parts"]) == ("GSM-7", 1)
    if template != "thanks":
        assert shown["locale"] == "cs"


def test_who_agrees_to_mail_is_welcomed_with_a_code_once(api: Api, eva: str) -> None:
    def mails() -> list[Any]:
        found = [read(path) for path in (api.stack.outbox / "email").glob("*.eml")]
        return [mail for mail in found if mail["To"] == "eva@examples.test"]

    wait_until(mails, 30, what="the welcome mail")
    [mail] = mails()
    text = mail.get_body(("plain",)).get_content()
    assert mail["Subject"] == "Vítejte v e-shopu Zrnko: 10 % na první nákup"
    assert "Vítejte, Evo!" in text
    assert "VITEJTE-" in text

    def assigned() -> list[Any]:
        return [row for row in api.timeline(eva) if row.get("event") == "Voucher Assigned"]

    assert len(wait_until(assigned, 20, what="the voucher on the timeline")) == 1


def read(path: Path) -> Any:
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
