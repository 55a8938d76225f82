"""Cron expressions of five fields (minute, hour, day of the month, month, weekday), as crontab(5) reads them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from headrace.contracts.instant import Millis

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_NAMES = {
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "weekday": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
_LOOK_AHEAD_DAYS = 366 * 9  # 29 February on a certain weekday may be eight years away


@dataclass(frozen=True, slots=True)
class Cron:
    """The values of each field. `weekdays` counts from Sunday = 0. As crontab(5) says, a day matches when its date
    does or its weekday does, if both are restricted."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def next_after(self, instant: Millis, zone: str) -> Millis | None:
        """The first time after `instant`, in milliseconds, on the clocks of `zone`. A time that the clocks skip in
        spring comes when they have gone on; one that they show twice in autumn counts once. None when there is no
        such day."""
        tz = ZoneInfo(zone)
        local = datetime.fromtimestamp(instant / 1000, tz)
        day = local.date()
        for _ in range(_LOOK_AHEAD_DAYS):
            if self._on(day.day, day.month, (day.weekday() + 1) % 7):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        naive = datetime(day.year, day.month, day.day, hour, minute)
                        # through UTC and back: a skipped time becomes the one after the gap
                        at = naive.replace(tzinfo=tz).astimezone(UTC)
                        found = int(at.timestamp() * 1000)
                        if found > instant:
                            return found
            day += timedelta(days=1)
        return None

    def _on(self, day: int, month: int, weekday: int) -> bool:
        if month not in self.months:
            return False
        if self.any_day or self.any_weekday:
            return day in self.days and weekday in self.weekdays
        return day in self.days or weekday in self.weekdays


def parse_cron(text: str) -> Cron:
    """Raises ValueError with what is wrong."""
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError("must have five fields: minute hour day month weekday, such as 0 9 * * mon")
    sets = [_values(part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
    sets[4] = frozenset(day % 7 for day in sets[4])
    minutes, hours, days, months, weekdays = sets
    cron = Cron(minutes, hours, days, months, weekdays, parts[2].startswith("*"), parts[4].startswith("*"))
    if cron.next_after(0, "UTC") is None:
        raise ValueError("names a day that never comes")
    return cron


def _values(text: str, name: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for item in text.lower().split(","):
        span, slash, step_text = item.partition("/")
        step = _number(step_text, name, 1, high, ()) if slash else 1
        if span == "*":
            first, last = low, high
        else:
            first_text, dash, last_text = span.partition("-")
            names = _NAMES.get(name, ())
            first = _number(first_text, name, low, high, names)
            last = _number(last_text, name, low, high, names) if dash else (high if slash else first)
            if last < first:
                raise ValueError(f"the {name} {item} goes backwards")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _number(text: str, name: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + (1 if name == "month" else 0)
    if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
        raise ValueError(f"the {name} must be {low} to {high}, not {text or 'empty'}")
    return int(text)
