"""What held for a time: true at every instant that is looked back at, and now."""

from collections.abc import Callable, Iterable

from headrace.contracts.instant import Millis
from services.segmenter.batch.view import Verdict, View

Moments = Callable[[Millis, Millis], Iterable[Millis]]


def judge_held(
    for_ms: Millis,
    view: View,
    holds: Callable[[View], bool],
    moments: Moments,
) -> Verdict:
    """`holds`: the truth of what is asked about. `moments(begin, end)`: every instant between the two at which its
    truth may change, looking back; between two of them it stays what it was at the earlier one.

    The value is the last of these instants at which it was false.
    """
    begin = view.t - for_ms
    within = {at for at in moments(begin, view.t) if begin < at < view.t}
    if not holds(view):
        return Verdict(False, view.t)
    for at in sorted({begin, *within, view.t}, reverse=True):
        if not holds(view.looking_back(at)):
            return Verdict(False, at)
    return Verdict(True)


def held_moments(for_ms: Millis, begin: Millis, end: Millis, moments: Moments) -> set[Millis]:
    """When the truth of `held` may change: when that of its inside does, and when such a change is passed by the
    beginning of the time."""
    inside = set(moments(begin - for_ms, end))
    return inside | {at + for_ms for at in inside}
