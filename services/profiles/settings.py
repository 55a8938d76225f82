"""Settings of the profile service, read once in `main`."""

from dataclasses import dataclass, field

from phonenumbers import SUPPORTED_REGIONS

from headrace.contracts.errors import SettingsError
from headrace.contracts.survey_link import SurveyLinks
from headrace.runtime.rate.settings import NO_GUARD, GuardSettings, guard_settings
from headrace.runtime.settings import CommonSettings, Environment, common_settings
from headrace.runtime.survey_settings import survey_links
from services.profiles.identity_file import read_rules
from services.profiles.identity_rules import DEFAULT_RULES, IdentityRules

DEFAULT_PORT = 8081


@dataclass(frozen=True, slots=True)
class Settings:
    """`phone_region`: ISO country whose national phone numbers are understood. `tick_ms`: how often time is
    published at most. `identity`: how identifiers decide who somebody is. `suppression_key`: what identifiers of
    whom nothing is collected are hashed with; None: the one that is kept in Postgres. `survey_links`: None when
    there is no key to sign them. `segmenter_url`: who must have seen an erasure before it is final.
    `messenger_url`: who is asked, as well, for an export. `retention_ms`: how long what events said is kept;
    None: for ever."""

    common: CommonSettings
    database_url: str
    port: int
    phone_region: str | None
    tick_ms: int
    identity: IdentityRules = DEFAULT_RULES
    survey_links: SurveyLinks | None = None
    suppression_key: str | None = field(default=None, repr=False)
    segmenter_url: str = "http://127.0.0.1:8082"
    messenger_url: str = "http://127.0.0.1:8083"
    retention_ms: int | None = None
    guard: GuardSettings = NO_GUARD


def read_settings(env: Environment) -> Settings:
    port = env.integer("HEADRACE_PROFILES_PORT", DEFAULT_PORT, high=65_535)
    return Settings(
        common=common_settings(env),
        database_url=env.text("HEADRACE_DATABASE_URL"),
        port=port,
        phone_region=_region(env.optional("HEADRACE_PHONE_REGION")),
        tick_ms=max(250, env.duration_ms("HEADRACE_TICK", "250ms")),
        identity=read_rules(env.optional("HEADRACE_IDENTITY")),
        survey_links=survey_links(env, port),
        suppression_key=env.optional("HEADRACE_SUPPRESSION_KEY"),
        segmenter_url=_url(env, "SEGMENTER", 8082),
        messenger_url=_url(env, "MESSENGER", 8083),
        retention_ms=env.duration_ms("HEADRACE_RETENTION", "") if env.optional("HEADRACE_RETENTION") else None,
        guard=guard_settings(env),
    )


def _url(env: Environment, service: str, port: int) -> str:
    port = env.integer(f"HEADRACE_{service}_PORT", port, low=1, high=65_535)
    return env.text(f"HEADRACE_{service}_URL", f"http://127.0.0.1:{port}").rstrip("/")


def _region(value: str | None) -> str | None:
    if value is not None and value not in SUPPORTED_REGIONS:
        raise SettingsError(f"HEADRACE_PHONE_REGION={value!r} must be an ISO country code such as CZ")
    return value
