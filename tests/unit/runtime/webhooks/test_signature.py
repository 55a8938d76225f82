"""Signatures, against literal vectors of the standard's own libraries."""

import base64

import pytest

from headrace.runtime.webhooks.signature import mask_secret, read_secret, sign, write_secret

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_vector_of_the_standard() -> None:
    assert sign([SECRET], MESSAGE, AT, BODY) == SIGNATURE


def test_two_secrets_sign_the_newest_first() -> None:
    other = write_secret(bytes(range(32)))
    newest, oldest = sign([other, SECRET], MESSAGE, AT, BODY).split(" ")
    assert oldest == SIGNATURE
    assert newest == sign([other], MESSAGE, AT, BODY) != SIGNATURE


@pytest.mark.parametrize(
    ("message_id", "at", "body"),
    [("msg_other", AT, BODY), (MESSAGE, AT + 1, BODY), (MESSAGE, AT, BODY + b" ")],
)
def test_each_part_is_signed(message_id: str, at: int, body: bytes) -> None:
    assert sign([SECRET], message_id, at, body) != SIGNATURE


def test_a_secret_is_read_as_it_was_written() -> None:
    assert read_secret(write_secret(b"k" * 32)) == b"k" * 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        base64.b64encode(b"k" * 32).decode(),
        "whsec_" + base64.b64encode(b"k" * 23).decode(),
        "whsec_" + base64.b64encode(b"k" * 65).decode(),
        "whsec_" + "é" * 44,
        SECRET + "\n",
        SECRET.replace("M", "-", 1),
    ],
)
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        read_secret(text)


def test_a_masked_secret_shows_its_end_only() -> None:
    assert mask_secret(SECRET) == "whsec_…LaSw"
