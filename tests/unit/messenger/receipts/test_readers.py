"""What providers call with, as they do it; and whatever else may come instead."""

import json
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.policy import Keywords, parse_policy
from headrace.contracts.provider_callback import ProviderCallback
from services.messenger.keywords import keyword
from services.messenger.receipt_state import Known, step
from services.messenger.receipts.choose import READERS
from services.messenger.receipts.port import Inbound, Receipt, Unreadable, e164

NOW = 1_700_000_000_000
OURS = "s" + "0" * 32
NONE = parse_policy({}).keywords


def callback(provider: str, body: str, query: str = "") -> ProviderCallback:
    return ProviderCallback(id="c1", provider=provider, received_at=NOW, content_type="", body=body, query=query)


def read(provider: str, body: str, query: str = "") -> list[Any]:
    return list(READERS[provider](callback(provider, body, query)))


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ("sent", "", Receipt("accepted", NOW, OURS, "SM1")),
        ("delivered", "", Receipt("delivered", NOW, OURS, "SM1")),
        ("read", "", Receipt("opened", NOW, OURS, "SM1")),
        ("undelivered", "30003", Receipt("failed", NOW, OURS, "SM1", "twilio_30003")),
        ("failed", "21610", Receipt("failed", NOW, OURS, "SM1", "twilio_21610", opted_out=True)),
        ("failed", "30006", Receipt("failed", NOW, OURS, "SM1", "twilio_30006", permanent=True)),
    ],
)
def test_twilio_tells_of_messages(status: str, code: str, expected: Receipt) -> None:
    form = urlencode({"MessageSid": "SM1", "MessageStatus": status, "ErrorCode": code, "To": "+420601000001"})
    assert read("twilio", form, f"m={OURS}") == [expected]


def test_twilio_tells_of_answers() -> None:
    form = {
        "MessageSid": "SM2",
        "From": "+420601000001",
        "To": "+420777000000",
        "Body": "Stop",
        "OptOutType": "STOP",
    }
    (said,) = read("twilio", urlencode(form))
    assert said == Inbound("sms", "+420601000001", "Stop", "SM2", NOW, "+420777000000", "stop")
    (chat,) = read("twilio", urlencode({**form, "From": "whatsapp:+420601000001"}))
    assert (chat.channel, chat.sender) == ("whatsapp", "+420601000001")


def test_bulkgate_tells_by_query_and_by_array() -> None:
    query = urlencode({"status": "1", "smsID": "b1", "to": "420601000001", "channel": "sms", "tag": OURS})
    assert read("bulkgate", "", query) == [Receipt("delivered", NOW, OURS, "b1", channel="sms")]
    items = [
        {"status": 3, "smsID": "b2"},
        {"status": 13, "smsID": "b3", "channel": "viber"},
        {"status": 10, "smsID": "b4", "from": "420601000001", "message": "STOP"},
        {"status": 99},
        7,
    ]
    told = read("bulkgate", json.dumps(items))
    assert [type(one).__name__ for one in told] == ["Receipt", "Receipt", "Inbound"]
    assert (told[0].outcome, told[1].outcome, told[2].text) == ("failed", "opened", "STOP")


def test_whatsapp_tells_of_statuses_and_messages() -> None:
    value = {
        "metadata": {"display_phone_number": "420777000000"},
        "statuses": [
            {"id": "wamid.1", "status": "delivered", "timestamp": "1699999999"},
            {"id": "wamid.2", "status": "failed", "errors": [{"code": 131026}]},
        ],
        "messages": [{"id": "wamid.3", "from": "420601000001", "type": "text", "text": {"body": "Ahoj"}}],
    }
    told = read("whatsapp", json.dumps({"entry": [{"changes": [{"value": value}]}]}))
    assert told == [
        Receipt("delivered", 1_699_999_999_000, None, "wamid.1", channel="whatsapp"),
        Receipt("failed", NOW, None, "wamid.2", "whatsapp_131026", permanent=True, channel="whatsapp"),
        Inbound("whatsapp", "+420601000001", "Ahoj", "wamid.3", NOW, "+420777000000"),
    ]


def bounce(action: str, status: str, *, enclosed: bool = True, to: str = "shop@shop.test") -> str:
    original = f"Message-ID: <{OURS}@shop.test>\r\nSubject: x\r\n\r\nhello\r\n" if enclosed else "\r\n"
    return (
        f"From: mailer-daemon@mx.test\r\nTo: {to}\r\nSubject: Undelivered\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nsorry\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        f"Reporting-MTA: dns; mx.test\r\n\r\nFinal-Recipient: rfc822; a@b.test\r\nAction: {action}\r\n"
        f"Status: {status}\r\n\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\n{original}\r\n--b--\r\n"
    )


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (
            bounce("failed", "5.1.1"),
            Receipt("bounced", NOW, OURS, None, "smtp_5.1.1", permanent=True, channel="email"),
        ),
        (bounce("failed", "4.2.2"), Receipt("bounced", NOW, OURS, None, "smtp_4.2.2", channel="email")),
        (bounce("delivered", "2.0.0"), Receipt("delivered", NOW, OURS, channel="email")),
        (
            bounce("failed", "5.0.0", enclosed=False, to=f"bounce+{OURS}@shop.test"),
            Receipt("bounced", NOW, OURS, None, "smtp_5.0.0", permanent=True, channel="email"),
        ),
    ],
)
def test_a_mail_server_tells_of_delivery(report: str, expected: Receipt) -> None:
    assert read("email", report) == [expected]


def test_a_complaint_is_told() -> None:
    report = (
        'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nspam\r\n"
        "--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\n\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <{OURS}@shop.test>\r\n\r\nx\r\n--b--\r\n"
    )
    assert read("email", report) == [Receipt("complained", NOW, OURS, channel="email")]


def test_a_mail_of_a_person_is_no_report() -> None:
    mail = EmailMessage()
    mail["Subject"] = "Hello"
    mail.set_content("How are you?")
    with pytest.raises(Unreadable):
        read("email", mail.as_string())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(
    provider=st.sampled_from(sorted(READERS)),
    body=st.text(max_size=300) | json_values.map(json.dumps) | st.text(max_size=200).map(lambda t: bounce(t, t)),
    query=st.text(max_size=100),
)
def test_whatever_comes_is_read_or_refused(provider: str, body: str, query: str) -> None:
    try:
        told = READERS[provider](callback(provider, body, query))
    except Unreadable:
        return
    assert all(isinstance(one, Receipt | Inbound) for one in told)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("STOP", "stop"),
        (" stop. ", "stop"),
        ("Odhlásit", "stop"),
        ("Stop all", "stop"),
        ("please stop", None),
        ("start!", "start"),
        ("Nápověda", "help"),
        ("", None),
        ("NEIN DANKE", None),
    ],
)
def test_a_word_alone_is_a_word(text: str, word: str | None) -> None:
    assert keyword(text, NONE) == word


def test_the_shop_has_words_of_its_own() -> None:
    assert keyword("Dost!", Keywords(stop=("DOST",))) == "stop"


@pytest.mark.parametrize(
    ("number", "expected"),
    [("420601000001", "+420601000001"), ("00420601000001", "+420601000001"), ("whatsapp:+1555", "")],
)
def test_numbers_as_providers_write_them(number: str, expected: str) -> None:
    assert e164(number) == expected


outcomes = st.sampled_from(["accepted", "delivered", "opened", "failed", "bounced", "complained"])


@given(st.sampled_from(["claimed", "unknown", "accepted"]), st.lists(outcomes, max_size=12))
def test_receipts_move_a_message_forward_and_tell_each_thing_once(status: str, receipts: list[Any]) -> None:
    known, told = Known(status), list[str]()
    ranks = {"claimed": 0, "unknown": 0, "accepted": 1, "failed": 2, "bounced": 2, "delivered": 2}
    for outcome in receipts:
        done = step(known, outcome)
        after = done.status or known.status
        assert ranks[after] >= ranks[known.status]
        assert known.status not in ("delivered", "failed", "bounced") or after == known.status
        told += done.told
        known = Known(after, known.opened or "opened" in done.told, known.complained or "complained" in done.told)
    assert len(told) == len(set(told))
    once = [outcome for place, outcome in enumerate(receipts) if outcome not in receipts[:place]]
    state, first = Known(status), list[str]()
    for outcome in once:
        done = step(state, outcome)
        state = Known(
            done.status or state.status,
            state.opened or "opened" in done.told,
            state.complained or "complained" in done.told,
        )
        first += done.told
    assert (known, told) == (state, first), "a repeat changes nothing"
