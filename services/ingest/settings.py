"""Settings of the ingest service."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from headrace.contracts.errors import SettingsError
from headrace.contracts.plan import PlanDefinition
from headrace.importing.mapping import Mapping as ImportMapping
from headrace.runtime.settings import CommonSettings, Environment, common_settings
from services.ingest.auth import Source
from services.ingest.definition_files import load_mappings, load_plans
from services.ingest.hook_settings import HookSettings, load_hooks
from services.ingest.limits import MIB, Limits

DEFAULT_SOURCE = "default"
_SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SOURCES_EXAMPLE = """'{"<write key>": {"source": "web", "trusted": false}}'"""


class _SourceEntry(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    trusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """`ack_timeout` is in seconds. `buffer_bytes` bounds the request bytes held in memory. `trusted_hops`: how
    many proxies of ours stand in front and write X-Forwarded-For. `public_url`: the address that web pages use,
    where it is not the one in their Host header. `plans`: at most one for a source. `mappings`: how rows become
    events, by name."""

    common: CommonSettings
    port: int
    sources: Mapping[str, Source]
    limits: Limits
    ack_timeout: float
    buffer_bytes: int
    trusted_hops: int
    public_url: str | None
    plans: Sequence[PlanDefinition] = ()
    mappings: Mapping[str, ImportMapping] = field(default_factory=dict)
    hooks: HookSettings = field(default_factory=lambda: HookSettings("http://127.0.0.1:8080"))


def load_settings(env: Environment) -> IngestSettings:
    """Raises SettingsError naming the variable and a valid example."""
    defaults = Limits()
    sources = _sources(env)
    port = env.integer("HEADRACE_INGEST_PORT", 8080, low=1, high=65_535)
    return IngestSettings(
        common=common_settings(env),
        port=port,
        sources=sources,
        limits=Limits(
            body_bytes=env.integer("HEADRACE_INGEST_MAX_BODY_BYTES", defaults.body_bytes, low=1),
            import_bytes=env.integer("HEADRACE_INGEST_MAX_IMPORT_BYTES", defaults.import_bytes, low=1),
            batch_events=env.integer("HEADRACE_INGEST_MAX_BATCH_EVENTS", defaults.batch_events, low=1),
            event_bytes=env.integer("HEADRACE_INGEST_MAX_EVENT_BYTES", defaults.event_bytes, low=1, high=MIB // 2),
            import_event_bytes=env.integer(
                "HEADRACE_INGEST_MAX_IMPORT_EVENT_BYTES", defaults.import_event_bytes, low=1, high=MIB // 2
            ),
        ),
        ack_timeout=env.duration_ms("HEADRACE_INGEST_ACK_TIMEOUT", "5s") / 1000,
        buffer_bytes=env.integer("HEADRACE_INGEST_BUFFER_BYTES", 128 * MIB, low=MIB),
        trusted_hops=env.integer("HEADRACE_INGEST_TRUSTED_HOPS", 0, high=10),
        public_url=_public_url(env),
        plans=load_plans(env, [source.name for source in sources.values()]),
        mappings=load_mappings(env),
        hooks=load_hooks(env, port),
    )


def _sources(env: Environment) -> dict[str, Source]:
    """The write keys: HEADRACE_WRITE_KEY is the server key of the source "default", HEADRACE_SOURCES has more."""
    sources = {env.text("HEADRACE_WRITE_KEY"): Source(DEFAULT_SOURCE, trusted=True)}
    text = env.optional("HEADRACE_SOURCES")
    if text is None:
        return sources
    try:
        entries = msgspec.json.decode(text, type=dict[str, _SourceEntry])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise SettingsError(f"HEADRACE_SOURCES must be JSON like {_SOURCES_EXAMPLE}: {error}") from error
    for key, entry in entries.items():
        if not key or not _SOURCE_NAME.fullmatch(entry.source):
            raise SettingsError(
                f"HEADRACE_SOURCES: {entry.source!r} must have a key and a name of a-z, 0-9, - and _, e.g. 'web'"
            )
        sources[key] = Source(entry.source, entry.trusted)
    return sources


def _public_url(env: Environment) -> str | None:
    url = env.optional("HEADRACE_INGEST_PUBLIC_URL")
    if url is not None and not url.startswith(("http://", "https://")):
        raise SettingsError(
            f"HEADRACE_INGEST_PUBLIC_URL={url!r} must be an address such as https://cdp.example.com"
        )
    return url
