"""Settings of the messenger, read once in `main`."""

from dataclasses import dataclass
from pathlib import Path

from headrace.contracts.survey_link import SurveyLinks
from headrace.runtime.settings import CommonSettings, Environment, common_settings
from headrace.runtime.survey_settings import survey_links
from services.messenger.providers.settings import ProviderSettings, provider_settings

DEFAULT_PORT = 8083
PROFILES_PORT = 8081
SEGMENTER_PORT = 8082


@dataclass(frozen=True, slots=True)
class Settings:
    """`public_url` is the base of the links in messages. `phone_region` (ISO 3166 letters) is the country of
    phone numbers without a country code; without it such numbers cannot be used. `survey_links`: None when there
    is no key to sign them."""

    common: CommonSettings
    database_url: str
    data_dir: Path
    port: int
    public_url: str
    providers: ProviderSettings
    send_concurrency: int
    phone_region: str | None
    survey_links: SurveyLinks | None = None
    segmenter_url: str = "http://127.0.0.1:8082"


def read_settings(env: Environment) -> Settings:
    common = common_settings(env)
    port = env.integer("HEADRACE_MESSENGER_PORT", DEFAULT_PORT, low=1, high=65_535)
    region = env.optional("HEADRACE_PHONE_REGION")
    return Settings(
        common=common,
        database_url=env.text("HEADRACE_DATABASE_URL"),
        data_dir=Path(env.text("HEADRACE_DATA_DIR", ".headrace")),
        port=port,
        public_url=env.text("HEADRACE_PUBLIC_URL", f"http://127.0.0.1:{port}").rstrip("/"),
        providers=provider_settings(env),
        send_concurrency=env.integer("HEADRACE_SEND_CONCURRENCY", 32, low=1, high=1000),
        phone_region=region.upper() if region else None,
        segmenter_url=_segmenter_url(env),
        survey_links=survey_links(env, env.integer("HEADRACE_PROFILES_PORT", PROFILES_PORT, low=1, high=65_535)),
    )


def _segmenter_url(env: Environment) -> str:
    port = env.integer("HEADRACE_SEGMENTER_PORT", SEGMENTER_PORT, low=1, high=65_535)
    return env.text("HEADRACE_SEGMENTER_URL", f"http://127.0.0.1:{port}").rstrip("/")
