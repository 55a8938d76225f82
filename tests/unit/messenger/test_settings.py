"""Providers by URL and the messenger's settings."""

from pathlib import Path

import pytest

from headrace.contracts.errors import SettingsError
from headrace.runtime.settings import Environment
from services.messenger.providers.choose import choose_providers
from services.messenger.providers.file import EmailFolder, SmsFile
from services.messenger.providers.smtp import SmtpProvider
from services.messenger.providers.twilio import TwilioProvider
from services.messenger.settings import read_settings

BASE = {
    "HEADRACE_LOG_URL": "redis://127.0.0.1:1",
    "HEADRACE_DATABASE_URL": "postgresql://x",
    "HEADRACE_ADMIN_TOKEN": "t",
}


def test_without_urls_messages_go_to_files(tmp_path: Path) -> None:
    providers = choose_providers(None, None, tmp_path)
    assert isinstance(providers["sms"], SmsFile)
    assert isinstance(providers["email"], EmailFolder)


@pytest.mark.parametrize(
    ("url", "port", "starttls", "tls"),
    [
        ("smtp://u:p%40ss@mail.test?from=a@shop.test", 587, True, False),
        ("smtp://mail.test:25?from=Shop%20%3Ca@shop.test%3E&starttls=never", 25, False, False),
        ("smtp://127.0.0.1:2525?from=a@shop.test", 2525, False, False),
        ("smtp://localhost:2525?from=a@shop.test&starttls=required", 2525, True, False),
        ("smtps://mail.test?from=a@shop.test", 465, False, True),
    ],
)
def test_smtp_is_encrypted_off_loopback(url: str, port: int, starttls: bool, tls: bool, tmp_path: Path) -> None:
    provider = choose_providers(url, None, tmp_path)["email"]
    assert isinstance(provider, SmtpProvider)
    assert (provider.account.port, provider.account.starttls, provider.account.tls) == (port, starttls, tls)
    assert provider.account.password in ("p@ss", None)


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        ("twilio://AC1:tok@api.twilio.com?from=%2B420777000000", "https://api.twilio.com"),
        ("twilio+http://AC1:tok@127.0.0.1:9000?from=%2B420777000000", "http://127.0.0.1:9000"),
    ],
)
def test_twilio_by_url(url: str, base_url: str, tmp_path: Path) -> None:
    provider = choose_providers(None, url, tmp_path)["sms"]
    assert isinstance(provider, TwilioProvider)
    account = provider.account
    assert (account.base_url, account.sid, account.token, account.sender) == (
        base_url,
        "AC1",
        "tok",
        "+420777000000",
    )


@pytest.mark.parametrize(
    ("email", "sms"),
    [
        ("http://mail.test?from=a@shop.test", None),
        ("smtp://mail.test", None),
        ("smtp://mail.test:notaport?from=a@shop.test", None),
        ("smtp://mail.test?from=a@shop.test&starttls=maybe", None),
        ("smtp://mail.test?from=a@shop.test&colour=red", None),
        ("smtp://?from=a@shop.test", None),
        (None, "bulkgate://1:t@portal.bulkgate.com?sender=gText:Shop"),
        (None, "twilio://api.twilio.com?from=%2B420777000000"),
        (None, "twilio://AC1:tok@api.twilio.com"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_secrets(
    email: str | None, sms: str | None, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        choose_providers(email, sms, tmp_path)
    assert ("HEADRACE_EMAIL_URL" if email else "HEADRACE_SMS_URL") in str(caught.value) or email
    assert "tok@" not in str(caught.value)


def test_links_point_at_the_messenger_unless_told() -> None:
    assert read_settings(Environment(BASE)).public_url == "http://127.0.0.1:8083"
    told = read_settings(Environment({**BASE, "HEADRACE_PUBLIC_URL": "https://shop.test/"}))
    assert told.public_url == "https://shop.test"
