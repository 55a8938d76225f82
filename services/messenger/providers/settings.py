"""Settings of the providers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from headrace.contracts.errors import SettingsError
from headrace.runtime.settings import Environment
from headrace.runtime.webhooks.address import PUBLIC, Reach
from headrace.runtime.webhooks.settings import webhook_reach
from headrace.runtime.webhooks.signature import read_secret


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """URLs by channel, several of one separated by white space. `webhook_secrets` sign webhooks; without any they
    go to a file. `hooks_url` is the public base of ingest."""

    data_dir: Path
    email_url: str | None = None
    sms_url: str | None = None
    viber_url: str | None = None
    whatsapp_url: str | None = None
    webhook_secrets: Sequence[str] = ()
    webhook_reach: Reach = PUBLIC
    hooks_url: str | None = None


def provider_settings(env: Environment) -> ProviderSettings:
    return ProviderSettings(
        data_dir=Path(env.text("HEADRACE_DATA_DIR", ".headrace")),
        email_url=env.optional("HEADRACE_EMAIL_URL"),
        sms_url=env.optional("HEADRACE_SMS_URL"),
        viber_url=env.optional("HEADRACE_VIBER_URL"),
        whatsapp_url=env.optional("HEADRACE_WHATSAPP_URL"),
        webhook_secrets=_secrets(env),
        webhook_reach=webhook_reach(env),
        hooks_url=_hooks_url(env),
    )


def _secrets(env: Environment) -> Sequence[str]:
    secrets = env.text("HEADRACE_WEBHOOK_SECRET", "").split()
    for secret in secrets:
        try:
            read_secret(secret)
        except ValueError as error:
            raise SettingsError(
                f"HEADRACE_WEBHOOK_SECRET must be whsec_ and base64 of 24 to 64 bytes, several by spaces: {error}"
            ) from None
    return secrets


def _hooks_url(env: Environment) -> str | None:
    text = env.optional("HEADRACE_HOOKS_URL")
    if text is None:
        return None
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.netloc or url.query or url.fragment:
        raise SettingsError("HEADRACE_HOOKS_URL must be the public base of ingest, e.g. https://in.shop.example")
    return text.rstrip("/")
