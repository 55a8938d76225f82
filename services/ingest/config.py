"""What the tracking routes go by."""

from dataclasses import dataclass

from services.ingest.auth import KeyRing
from services.ingest.budget import Budget
from services.ingest.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingConfig:
    """`trusted_hops`: how many proxies of ours stand in front, whose X-Forwarded-For is believed."""

    keys: KeyRing
    limits: Limits
    budget: Budget
    trusted_hops: int = 0
