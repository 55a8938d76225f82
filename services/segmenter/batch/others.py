"""RFM scores, random splits and the last known place."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from hashlib import blake2b
from math import asin, cos, radians, sin, sqrt

from headrace.contracts.cut_points import CutPoints
from headrace.contracts.instant import Millis
from headrace.contracts.segment_conditions import Geo, Percent, Rfm
from services.segmenter.batch.events import numbers, told, window_moments
from services.segmenter.batch.values import Number, number
from services.segmenter.batch.view import Event, Known, Verdict, View

EARTH_RADIUS_KM = 6371.0088
_BUCKETS = 10_000


def judge_rfm(leaf: Rfm, view: View, cuts: Mapping[str, CutPoints]) -> Verdict:
    test = leaf.rfm
    within, points = test.within_ms, cuts.get(test.population)
    events = [event for event in view.events(test.event) if within is None or event.ts > view.t - within]
    if not events or points is None:
        return Verdict(False, None, told(events))
    scores = (
        _score(max(event.ts for event in events), points.recency),
        _score(len(events), points.frequency),
        _score(sum(numbers(events, test.of)), [Fraction(cut) for cut in points.monetary]),
    )
    asked = zip(scores, test.scores, strict=True)
    return Verdict(all(wanted is None or score in wanted for score, wanted in asked), scores, told(events))


def rfm_moments(leaf: Rfm, known: Known) -> Iterator[Millis]:
    yield from window_moments(known.named(leaf.rfm.event), leaf.rfm.within_ms)


def judge_percent(leaf: Percent, view: View) -> Verdict:
    test = leaf.percent
    text = f"{test.salt}\x1f{view.known.subject.profile_id}"
    digest = blake2b(text.encode("utf-8", "surrogatepass")).digest()
    bucket = int.from_bytes(digest[:8], "big") % _BUCKETS
    return Verdict(100 * test.from_ <= bucket < 100 * test.to, bucket)


def judge_geo(leaf: Geo, view: View) -> Verdict:
    for event in reversed(view.events(None)):
        if (place := _place(event)) is not None:
            distance = haversine_km(place, leaf.geo.of)
            return Verdict(distance <= leaf.geo.within_km, round(distance, 3), (event.message_id,))
    return Verdict(False)


def geo_moments(known: Known) -> Iterator[Millis]:
    yield from (event.ts for event in known.events if _place(event) is not None)


def haversine_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Great-circle distance of two (latitude, longitude) in degrees."""
    (south, west), (north, east) = one, other
    rise, run = radians(north - south) / 2, radians(east - west) / 2
    chord = sin(rise) ** 2 + cos(radians(south)) * cos(radians(north)) * sin(run) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(chord)))


def _score(value: Number, cuts: Sequence[Number]) -> int:
    return 1 + sum(cut < value for cut in cuts)


def _place(event: Event) -> tuple[float, float] | None:
    latitude = _degrees(event, "latitude", 90)
    longitude = _degrees(event, "longitude", 180)
    return None if latitude is None or longitude is None else (latitude, longitude)


def _degrees(event: Event, name: str, most: int) -> float | None:
    values = [number(value) for value in event.values(f"context.location.{name}")]
    return next((float(value) for value in values if value is not None and -most <= value <= most), None)
