"""From a provider's URL to the provider: one function a scheme. Each raises SettingsError for a URL of no use."""

import re
from collections.abc import Callable, Mapping

from services.messenger.providers.bulkgate import SENDER_IDS, BulkGateAccount, BulkGateProvider
from services.messenger.providers.mail import envelope_sender
from services.messenger.providers.port import Provider
from services.messenger.providers.smtp import SmtpAccount, SmtpProvider, is_loopback
from services.messenger.providers.twilio import TwilioAccount, TwilioProvider
from services.messenger.providers.urls import ProviderUrl
from services.messenger.providers.whatsapp import WhatsAppAccount, WhatsAppProvider

_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]")
_DEFAULT_VERSION = "v23.0"
_PHONE_ID = re.compile(r"[0-9]{1,32}")


def smtp(url: ProviderUrl, name: str) -> SmtpProvider:
    url.only({"from", "starttls", "bounces", "unsubscribe"})
    sender, unsubscribe = url.query.get("from", ""), url.query.get("unsubscribe")
    if url.plain:
        raise url.wrong("must be smtp:// or smtps://")
    if "@" not in envelope_sender(sender):
        raise url.wrong("needs ?from=address")
    if unsubscribe is not None and ("@" not in unsubscribe or envelope_sender(unsubscribe) != unsubscribe):
        raise url.wrong("has an unsubscribe that is no address")
    starttls = url.query.get("starttls", "never" if is_loopback(url.host) else "required")
    if starttls not in ("required", "never"):
        raise url.wrong("has a starttls that is neither required nor never")
    tls = url.scheme == "smtps"
    account = SmtpAccount(
        host=url.host,
        port=url.port or (465 if tls else 587),
        sender=sender,
        user=url.user,
        password=url.password,
        starttls=starttls == "required" and not tls,
        tls=tls,
        bounces=url.flag("bounces"),
        unsubscribe=unsubscribe,
    )
    return SmtpProvider(account, name=name)


def twilio(url: ProviderUrl, name: str, hooks_url: str | None) -> TwilioProvider:
    url.only({"from"})
    sender = url.query.get("from")
    if not (url.user and url.password and sender):
        raise url.wrong("needs the SID, the token and ?from=")
    return TwilioProvider(TwilioAccount(url.base_url, url.user, url.password, sender, hooks_url), name=name)


def bulkgate(url: ProviderUrl, name: str, *, viber: bool) -> BulkGateProvider:
    """`viber`: it is named for Viber itself, and needs a sender there."""
    url.only({"sender", "viber"})
    kind, _, value = url.query.get("sender", "gSystem").partition(":")
    if not (url.user and url.password):
        raise url.wrong("needs the application's id and token")
    if kind not in SENDER_IDS and not kind.isdigit():
        raise url.wrong(f"needs a sender of {', '.join(SENDER_IDS)}, with its value after a colon")
    if viber and not url.query.get("viber"):
        raise url.wrong("needs &viber=SENDER")
    account = BulkGateAccount(
        url.base_url, url.user, url.password, kind, value or None, url.query.get("viber") or None
    )
    return BulkGateProvider(account, name=name)


def whatsapp(url: ProviderUrl, name: str) -> WhatsAppProvider:
    """`app_secret` and `verify_token` are for ingest, which takes what Meta tells."""
    url.only({"version", "app_secret", "verify_token"})
    version = url.query.get("version", _DEFAULT_VERSION)
    if not url.user or not _PHONE_ID.fullmatch(url.user) or not url.password:
        raise url.wrong("needs the phone number's id and the token")
    if not _VERSION.fullmatch(version):
        raise url.wrong("has a version that is none, such as v23.0")
    return WhatsAppProvider(WhatsAppAccount(f"{url.base_url}/{version}", url.user, url.password), name=name)


Make = Callable[[ProviderUrl, str], Provider]


def makers(hooks_url: str | None) -> Mapping[str, Mapping[str, Make]]:
    """By channel, how the provider of each scheme is made of its URL and its name."""
    return {
        "email": {"smtp": smtp, "smtps": smtp},
        "sms": {
            "twilio": lambda url, name: twilio(url, name, hooks_url),
            "bulkgate": lambda url, name: bulkgate(url, name, viber=False),
        },
        "viber": {"bulkgate": lambda url, name: bulkgate(url, name, viber=True)},
        "whatsapp": {"whatsapp": whatsapp},
    }
