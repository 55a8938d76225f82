"""Providers by URL (DESIGN §7); without a URL, files under the data folder."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from headrace.contracts.errors import SettingsError
from services.messenger.providers.file import EmailFolder, SmsFile
from services.messenger.providers.mail import envelope_sender
from services.messenger.providers.port import Provider
from services.messenger.providers.smtp import SmtpAccount, SmtpProvider, is_loopback
from services.messenger.providers.twilio import TwilioAccount, TwilioProvider

_EMAIL_EXAMPLE = "smtp://user:pass@host:587?from=shop@example.com"
_SMS_EXAMPLE = "twilio://SID:TOKEN@api.twilio.com?from=%2B420600000000"


def choose_providers(email_url: str | None, sms_url: str | None, data_dir: Path) -> Mapping[str, Provider]:
    """The provider of each channel. Raises SettingsError for a URL that cannot be used."""
    outbox = data_dir / "outbox"
    return {
        "email": _email(email_url) if email_url else EmailFolder(outbox / "email"),
        "sms": _sms(sms_url) if sms_url else SmsFile(outbox / "sms.jsonl"),
    }


def _email(text: str) -> Provider:
    url = _split("HEADRACE_EMAIL_URL", text, _EMAIL_EXAMPLE)
    if url.scheme not in ("smtp", "smtps"):
        raise SettingsError(f"HEADRACE_EMAIL_URL must look like {_EMAIL_EXAMPLE}")
    query = _query("HEADRACE_EMAIL_URL", url, {"from", "starttls"})
    sender = query.get("from", "")
    if "@" not in envelope_sender(sender):
        raise SettingsError(f"HEADRACE_EMAIL_URL needs ?from=address, e.g. {_EMAIL_EXAMPLE}")
    host = url.hostname or ""
    starttls = query.get("starttls", "never" if is_loopback(host) else "required")
    if starttls not in ("required", "never"):
        raise SettingsError("starttls in HEADRACE_EMAIL_URL must be required or never")
    tls = url.scheme == "smtps"
    return SmtpProvider(
        SmtpAccount(
            host=host,
            port=url.port or (465 if tls else 587),
            sender=sender,
            user=unquote(url.username) if url.username else None,
            password=unquote(url.password) if url.password else None,
            starttls=starttls == "required" and not tls,
            tls=tls,
        )
    )


def _sms(text: str) -> Provider:
    url = _split("HEADRACE_SMS_URL", text, _SMS_EXAMPLE)
    if url.scheme not in ("twilio", "twilio+http"):
        raise SettingsError(f"HEADRACE_SMS_URL must look like {_SMS_EXAMPLE}")
    query = _query("HEADRACE_SMS_URL", url, {"from"})
    if not (url.username and url.password and query.get("from")):
        raise SettingsError(f"HEADRACE_SMS_URL needs the SID, the token and ?from=, e.g. {_SMS_EXAMPLE}")
    scheme = "http" if url.scheme.endswith("+http") else "https"
    port = f":{url.port}" if url.port else ""
    return TwilioProvider(
        TwilioAccount(
            base_url=f"{scheme}://{url.hostname}{port}",
            sid=unquote(url.username),
            token=unquote(url.password),
            sender=query["from"],
        )
    )


def _split(variable: str, text: str, example: str) -> SplitResult:
    try:
        url = urlsplit(text)
        usable = bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"{variable} must look like {example}")
    return url


def _query(variable: str, url: SplitResult, known: set[str]) -> dict[str, str]:
    found = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    for name in found:
        if name not in known:
            raise SettingsError(f"{variable} has an unknown parameter {name}; known: {', '.join(sorted(known))}")
    return found
