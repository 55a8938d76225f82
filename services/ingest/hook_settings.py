"""What is needed to know providers' callbacks from others: read from the settings that name the providers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from headrace.contracts.errors import SettingsError
from headrace.runtime.settings import Environment


@dataclass(frozen=True, slots=True)
class HookSettings:
    """`url` is the public base of this service, as providers are told it. Without secrets of a provider its
    callbacks are not taken."""

    url: str
    token: str | None = field(default=None, repr=False)
    twilio_tokens: tuple[str, ...] = field(default=(), repr=False)
    whatsapp_secrets: tuple[str, ...] = field(default=(), repr=False)
    whatsapp_verify_tokens: tuple[str, ...] = field(default=(), repr=False)


def load_hooks(env: Environment, port: int) -> HookSettings:
    """Raises SettingsError. What else is wrong with a provider's URL the messenger says."""
    twilio = [url for name in ("SMS", "WHATSAPP") for url in _urls(env, f"HEADRACE_{name}_URL", "twilio")]
    whatsapp = [parse_qs(url.query) for url in _urls(env, "HEADRACE_WHATSAPP_URL", "whatsapp")]
    return HookSettings(
        url=env.text("HEADRACE_HOOKS_URL", f"http://127.0.0.1:{port}").rstrip("/"),
        token=env.optional("HEADRACE_HOOK_TOKEN"),
        twilio_tokens=tuple(unquote(url.password) for url in twilio if url.password),
        whatsapp_secrets=tuple(query["app_secret"][-1] for query in whatsapp if "app_secret" in query),
        whatsapp_verify_tokens=tuple(query["verify_token"][-1] for query in whatsapp if "verify_token" in query),
    )


def _urls(env: Environment, variable: str, scheme: str) -> Iterator[SplitResult]:
    for text in (env.optional(variable) or "").split():
        try:
            url = urlsplit(text)
        except ValueError as error:
            raise SettingsError(f"{variable} holds something that is no URL") from error
        if url.scheme.partition("+")[0] == scheme:
            yield url
