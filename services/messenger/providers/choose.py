"""The channels with their providers, by URL (DESIGN §7); without a URL, files under the data folder."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from headrace.contracts.errors import SettingsError
from headrace.contracts.instant import Millis
from services.messenger.providers.accounts import Make, makers
from services.messenger.providers.bulkgate import BulkGateProvider
from services.messenger.providers.file import EmailFolder, LineFile
from services.messenger.providers.guard import UNLIMITED, Channel, Guarded
from services.messenger.providers.port import Provider
from services.messenger.providers.settings import ProviderSettings
from services.messenger.providers.urls import read_url
from services.messenger.providers.webhook import WebhookProvider

CHANNELS = ("sms", "email", "viber", "whatsapp", "webhook")
_VARIABLES = {
    "email": ("HEADRACE_EMAIL_URL", "smtp://user:pass@host:587?from=shop@example.com"),
    "sms": ("HEADRACE_SMS_URL", "twilio://SID:TOKEN@api.twilio.com?from=%2B420600000000"),
    "viber": ("HEADRACE_VIBER_URL", "bulkgate://ID:TOKEN@portal.bulkgate.com?viber=Shop"),
    "whatsapp": ("HEADRACE_WHATSAPP_URL", "whatsapp://PHONE_ID:TOKEN@graph.facebook.com?version=v23.0"),
}


def choose_providers(settings: ProviderSettings, clock: Callable[[], Millis]) -> Mapping[str, Channel]:
    """Every channel by its name. Raises SettingsError for a URL that cannot be used."""
    made = makers(settings.hooks_url)
    found = {
        "sms": _by_urls("sms", settings.sms_url, made["sms"], clock),
        "email": _by_urls("email", settings.email_url, made["email"], clock),
        "viber": _by_urls("viber", settings.viber_url, made["viber"], clock),
        "whatsapp": _by_urls("whatsapp", settings.whatsapp_url, made["whatsapp"], clock),
        "webhook": _webhooks(settings, clock),
    }
    found["viber"] = found["viber"] or [one for one in found["sms"] if _serves_viber(one.provider)]
    return {
        name: Channel(name, found[name] or [Guarded(_file(name, settings.data_dir / "outbox"), clock())], clock)
        for name in CHANNELS
    }


def _by_urls(
    channel: str, text: str | None, made: Mapping[str, Make], clock: Callable[[], Millis]
) -> list[Guarded]:
    variable, example = _VARIABLES[channel]
    found: list[Guarded] = []
    names: Counter[str] = Counter()
    for each in (text or "").split():
        url = read_url(variable, each, example)
        make = made.get(url.scheme)
        if make is None:
            schemes = ", ".join(f"{scheme}://" for scheme in made)
            raise SettingsError(f"{variable} must begin with {schemes}, and look like {example}")
        names["smtp" if url.scheme == "smtps" else url.scheme] += 1
        found.append(Guarded(make(url, _name(url.scheme, names)), clock(), rate=url.rate or UNLIMITED))
    return found


def _name(scheme: str, names: Counter[str]) -> str:
    """The ledger knows a provider by its name: a second one of a kind has another."""
    kind = "smtp" if scheme == "smtps" else scheme
    return kind if names[kind] == 1 else f"{kind}-{names[kind]}"


def _webhooks(settings: ProviderSettings, clock: Callable[[], Millis]) -> list[Guarded]:
    if not settings.webhook_secrets:
        return []
    provider = WebhookProvider(settings.webhook_secrets, settings.webhook_reach, clock)
    return [Guarded(provider, clock(), breaks=False)]


def _serves_viber(provider: Provider) -> bool:
    return isinstance(provider, BulkGateProvider) and provider.account.viber_sender is not None


def _file(channel: str, outbox: Path) -> Provider:
    return EmailFolder(outbox / "email") if channel == "email" else LineFile(outbox / f"{channel}.jsonl")
