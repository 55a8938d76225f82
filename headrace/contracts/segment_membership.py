"""Value of `cdp.segment-memberships.v1`: a customer is in a segment. Compacted; null means not a member."""

import msgspec


class SegmentMembership(msgspec.Struct, kw_only=True, frozen=True):
    """The key is `segment_id/profile_id`. `sequence` is that of the segment change which said so: it rises per
    profile and segment, so whoever has a higher one may pass an older record over. `entered_at` is RFC 3339."""

    segment_id: str
    profile_id: str
    version: int
    entered_at: str
    entry_id: str
    sequence: int
