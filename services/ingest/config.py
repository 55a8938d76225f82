"""What the tracking routes go by."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.importing.mapping import Mapping as ImportMapping
from services.ingest.auth import KeyRing
from services.ingest.budget import Budget
from services.ingest.limits import Limits
from services.ingest.rates import IngestRates


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingConfig:
    """`trusted_hops`: how many proxies of ours stand in front, whose X-Forwarded-For is believed. `mappings`: how
    rows of an import become events, by name."""

    keys: KeyRing
    limits: Limits
    budget: Budget
    rates: IngestRates
    trusted_hops: int = 0
    mappings: Mapping[str, ImportMapping] = field(default_factory=dict)
