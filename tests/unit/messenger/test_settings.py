"""Providers by URL and the messenger's settings."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace.contracts.errors import SettingsError
from headrace.runtime.settings import Environment
from services.messenger.providers.bulkgate import BulkGateAccount, BulkGateProvider
from services.messenger.providers.choose import CHANNELS, choose_providers
from services.messenger.providers.file import EmailFolder, LineFile
from services.messenger.providers.guard import Channel
from services.messenger.providers.port import Provider
from services.messenger.providers.settings import provider_settings
from services.messenger.providers.smtp import SmtpProvider
from services.messenger.providers.twilio import TwilioProvider
from services.messenger.providers.webhook import WebhookProvider
from services.messenger.providers.whatsapp import WhatsAppAccount, WhatsAppProvider
from services.messenger.settings import read_settings

BASE = {
    "HEADRACE_LOG_URL": "redis://127.0.0.1:1",
    "HEADRACE_DATABASE_URL": "postgresql://x",
    "HEADRACE_ADMIN_TOKEN": "t",
}


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TWILIO = "twilio://AC1:tok@api.twilio.com?from=%2B420777000000"
BULKGATE = "bulkgate://7:tok@portal.bulkgate.com?sender=gText:Shop"


def chosen(tmp_path: Path, **variables: str) -> Mapping[str, Channel]:
    named = {f"HEADRACE_{name.upper()}": value for name, value in variables.items()}
    env = Environment({"HEADRACE_DATA_DIR": str(tmp_path), **named})
    return choose_providers(provider_settings(env), lambda: 0)


def only(channel: Channel) -> Provider:
    (provider,) = channel.providers
    return provider


def names(channel: Channel) -> list[str]:
    return [provider.name for provider in channel.providers]


def test_without_urls_messages_go_to_files(tmp_path: Path) -> None:
    channels = chosen(tmp_path)
    assert set(channels) == set(CHANNELS)
    assert isinstance(only(channels["email"]), EmailFolder)
    for name in ("sms", "viber", "whatsapp", "webhook"):
        assert isinstance(only(channels[name]), LineFile)


def test_several_urls_are_providers_in_their_order(tmp_path: Path) -> None:
    sms = chosen(tmp_path, sms_url=f" {TWILIO}\n{BULKGATE} {TWILIO.replace('AC1', 'AC2')}&rate=2.5 ")["sms"]
    assert names(sms) == ["twilio", "bulkgate", "twilio-2"]
    assert sms.provider().name == "twilio"
    assert sms.free(1000) == 1000


def test_a_rate_is_kept(tmp_path: Path) -> None:
    assert chosen(tmp_path, sms_url=f"{TWILIO}&rate=20")["sms"].free(1000) == 2


def test_bulkgate_for_sms_serves_viber_where_it_has_a_sender(tmp_path: Path) -> None:
    assert names(chosen(tmp_path, sms_url=BULKGATE)["viber"]) == ["file"]
    channels = chosen(tmp_path, sms_url=f"{TWILIO} {BULKGATE}&viber=Shop")
    assert names(channels["viber"]) == ["bulkgate"]
    assert channels["viber"].providers[0] is channels["sms"].providers[1]
    own = chosen(tmp_path, sms_url=f"{BULKGATE}&viber=Shop", viber_url=f"{BULKGATE}&viber=Other")
    provider = only(own["viber"])
    assert isinstance(provider, BulkGateProvider)
    assert provider.account.viber_sender == "Other"


def test_bulkgate_by_url(tmp_path: Path) -> None:
    provider = only(chosen(tmp_path, sms_url=BULKGATE)["sms"])
    assert isinstance(provider, BulkGateProvider)
    assert provider.account == BulkGateAccount("https://portal.bulkgate.com", "7", "tok", "gText", "Shop")
    assert provider.cascades == {("viber", "sms")}


def test_whatsapp_by_url(tmp_path: Path) -> None:
    url = "whatsapp+http://15550001:tok@127.0.0.1:9000?version=v22.0&app_secret=s&verify_token=v"
    provider = only(chosen(tmp_path, whatsapp_url=url)["whatsapp"])
    assert isinstance(provider, WhatsAppProvider)
    assert provider.account == WhatsAppAccount("http://127.0.0.1:9000/v22.0", "15550001", "tok")


def test_webhooks_are_sent_when_there_is_a_secret_to_sign_them(tmp_path: Path) -> None:
    provider = only(chosen(tmp_path, webhook_secret=f"{SECRET} {SECRET[:-1]}x")["webhook"])
    assert isinstance(provider, WebhookProvider)
    assert provider.idempotent


@pytest.mark.parametrize("secret", ["whsec_short", "hidden-text", f"{SECRET} hidden-text"])
def test_a_secret_that_is_none_is_refused_and_not_shown(tmp_path: Path, secret: str) -> None:
    with pytest.raises(SettingsError, match="HEADRACE_WEBHOOK_SECRET") as caught:
        chosen(tmp_path, webhook_secret=secret)
    assert secret.split()[-1] not in str(caught.value)


def test_twilio_is_told_where_to_report(tmp_path: Path) -> None:
    provider = only(chosen(tmp_path, sms_url=TWILIO, hooks_url="https://in.shop.example/")["sms"])
    assert isinstance(provider, TwilioProvider)
    assert provider.account.hooks_url == "https://in.shop.example"


@pytest.mark.parametrize("url", ["in.shop.example", "ftp://in.shop.example", "https://in.shop.example?x=1"])
def test_a_hooks_url_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match=r"https://in\.shop\.example"):
        chosen(tmp_path, hooks_url=url)


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
    provider = only(chosen(tmp_path, email_url=url)["email"])
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
    provider = only(chosen(tmp_path, sms_url=url)["sms"])
    assert isinstance(provider, TwilioProvider)
    account = provider.account
    assert (account.base_url, account.sid, account.token, account.sender) == (
        base_url,
        "AC1",
        "tok",
        "+420777000000",
    )


def test_smtp_takes_back_bounces_where_the_shop_says_so(tmp_path: Path) -> None:
    url = "smtp://mail.test?from=a@shop.test&bounces=1&unsubscribe=off@shop.test"
    provider = only(chosen(tmp_path, email_url=url)["email"])
    assert isinstance(provider, SmtpProvider)
    assert (provider.account.bounces, provider.account.unsubscribe) == (True, "off@shop.test")


@pytest.mark.parametrize(
    ("channel", "url"),
    [
        ("email", "http://mail.test?from=a@shop.test"),
        ("email", "smtp://mail.test"),
        ("email", "smtp+http://mail.test?from=a@shop.test"),
        ("email", "smtp://mail.test:notaport?from=a@shop.test"),
        ("email", "smtp://mail.test?from=a@shop.test&starttls=maybe"),
        ("email", "smtp://mail.test?from=a@shop.test&colour=red"),
        ("email", "smtp://mail.test?from=a@shop.test&bounces=yes"),
        ("email", "smtp://mail.test?from=a@shop.test&unsubscribe=off"),
        ("email", "smtp://?from=a@shop.test"),
        ("sms", "twilio://api.twilio.com?from=%2B420777000000"),
        ("sms", "twilio://AC1:tok@api.twilio.com"),
        ("sms", "twilio+ftp://AC1:tok@api.twilio.com?from=x"),
        ("sms", f"{TWILIO}&rate=fast"),
        ("sms", f"{TWILIO}&rate=0"),
        ("sms", f"{TWILIO}&rate=-1"),
        ("sms", f"{TWILIO} carrier-pigeon://x"),
        ("sms", "bulkgate://portal.bulkgate.com?sender=gText:Shop"),
        ("sms", "bulkgate://7:tok@portal.bulkgate.com?sender=Shop"),
        ("viber", BULKGATE),
        ("viber", TWILIO),
        ("whatsapp", "whatsapp://+1555:tok@graph.facebook.com"),
        ("whatsapp", "whatsapp://15550001@graph.facebook.com"),
        ("whatsapp", "whatsapp://15550001:tok@graph.facebook.com?version=../v1"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_secrets(channel: str, url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        chosen(tmp_path, **{f"{channel}_url": url})
    assert f"HEADRACE_{channel.upper()}_URL" in str(caught.value)
    assert "tok@" not in str(caught.value)


def test_links_point_at_the_messenger_unless_told() -> None:
    assert read_settings(Environment(BASE)).public_url == "http://127.0.0.1:8083"
    told = read_settings(Environment({**BASE, "HEADRACE_PUBLIC_URL": "https://shop.test/"}))
    assert told.public_url == "https://shop.test"
