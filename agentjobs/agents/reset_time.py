"""Read when a limit ends from an agent's words: epoch, clock time, date, duration. Pure, except for zone files."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

LIMIT_ENDS: Final = (
    r"(?i)(?:\bresets?_(?:at|in_seconds)\W{1,4}|\breset(?:s|ting)?\b(?: (?:on|in|at|after|by))?\s*:?\s*~?"
    r"|\b(?:try again|retry|available again)\b(?: (?:on|in|at|after|by))?\s+|\bregain access(?: on)?\s+"
    r"|\bcycle ends(?: on)?\s+|\brefreshed (?:in|at|after)\s+|\|)([^\"\\\n]+)"
)
"""Words before the time when a limit ends."""

DAY_S = 86_400.0
LONGEST_S = 35 * DAY_S
"""A reset further in the future than a monthly limit is a misreading."""
JUST_PASSED_S = 600.0
"""A time that is past by less than this was rounded down, or the clocks differ: it is neither tomorrow's nor
unknown."""
SOON_S = 5.0
"""How long to wait after an instant that has just passed."""
MINUTE_S = 60.0
"""A clock time without seconds was cut to the minute: its limit ends before that minute does."""
LONGEST_TEXT = 1_000

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})[a-z]*\.?"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?\b"
_YEAR = r"(?P<year>20[0-9]{2})\b"
_EPOCH = re.compile(r"(?<![0-9.])([0-9]{13}|[0-9]{10})(?:\.[0-9]+)?(?![0-9])")
_ISO = re.compile(
    r"(?<![0-9])(20[0-9]{2})-([0-9]{2})-([0-9]{2})"
    r"(?:(?:[Tt ]|,? at )([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?(?:[.,][0-9]+)?|(?![0-9T-]))"
)
_DATES = (
    re.compile(rf"\b{_MONTH}\s*{_DAY}(?:,?\s*{_YEAR})?", re.IGNORECASE),
    re.compile(rf"(?<![0-9]){_DAY}\s*{_MONTH}(?:,?\s*{_YEAR})?", re.IGNORECASE),
)
_CLOCKS = (
    re.compile(
        r"(?<![0-9:.])(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2}))?(?::(?P<second>[0-9]{2}))?"
        r"\s*(?P<half>[ap])\.?m\b",
        re.IGNORECASE,
    ),
    re.compile(r"(?<![0-9:.])(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?(?![0-9:])"),
)
_OFFSET = re.compile(r"(?:\b(?:UTC|GMT)|(?<=[0-9]))\s*([+-])([0-9]{1,2})(?::?([0-9]{2}))?(?![0-9])")
_UTC = re.compile(r"\b(?:UTC|GMT)\b|(?<=[0-9])Z\b")
_REGION = re.compile(r"\b[A-Z][A-Za-z]+(?:/[A-Z][A-Za-z0-9_+-]+){1,2}")
_ABBREVIATION = re.compile(r"\b(?:([ECMP])([SD])?T|CET|CEST|BST|JST|IST|AEST|AEDT)\b")
_NORTH_AMERICA = {"E": "New_York", "C": "Chicago", "M": "Denver", "P": "Los_Angeles"}
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY_S, "w": 7 * DAY_S}
_DURATION = re.compile(
    r"(?<![0-9.:A-Za-z])([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*"
    r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)(?![A-Za-z])",
    re.IGNORECASE,
)
_FURTHER = re.compile(
    r"(?:\s|,|and\b)*([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*"
    r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)(?![A-Za-z])",
    re.IGNORECASE,
)
_SECONDS = re.compile(r"\s*([0-9]{1,7}(?:\.[0-9]{1,6})?)\s*")


def parse_reset(
    text: str, now: float, zone: tzinfo | None = None, *, cut_s: float = MINUTE_S
) -> float | None:
    """Return the instant that ``text`` names, in seconds since the epoch; None if it names none.

    Understood: an epoch in seconds or milliseconds, an ISO date-time, ``Apr 10 at 7am``, ``10 Apr 2026 07:00``, a clock
    time (``3:54am (UTC)``, ``9am (America/Chicago)``, ``15:55``), a duration (``4h28m20s``, ``in 2 hours``), a bare
    number of seconds. A clock time without a zone is in ``zone``, by default this machine's; without seconds it is
    ``cut_s`` later, by default the end of its minute. The result is in the future of ``now``, by at most
    ``LONGEST_S``: an instant that has just passed is in some seconds, a clock time that passed before is tomorrow's,
    any other instant in the past is None.
    Never raises.
    """
    text = text[:LONGEST_TEXT]
    try:
        for read in (_epoch, _iso, _date, _clock, _duration):
            at = read(text, now, zone, cut_s)
            if at is not None:
                at = now + SOON_S if now - JUST_PASSED_S < at <= now else at
                return at if now < at <= now + LONGEST_S else None
    except (ValueError, OverflowError, OSError, LookupError):  # no such day, hour or zone; an absurd ``now``
        return None
    return None


def _epoch(text: str, _now: float, _zone: tzinfo | None, _cut_s: float) -> float | None:
    found = _EPOCH.search(text)
    if found is None:
        return None
    return float(found[1]) / (1000.0 if len(found[1]) == 13 else 1.0)  # noqa: PLR2004 - digits of milliseconds


def _iso(text: str, _now: float, zone: tzinfo | None, cut_s: float) -> float | None:
    found = _ISO.search(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    # The zone starts after the date-time; the minus signs of the date are not an offset.
    own = _zone(found[0][-1] + text[found.end() :])
    at = _instant(datetime(year, month, day, hour, minute, second), own or zone)  # noqa: DTZ001 - next step
    return at + (cut_s if found[4] and not found[6] else 0.0)


def _date(text: str, now: float, zone: tzinfo | None, cut_s: float) -> float | None:
    found = next((hit for hit in (form.search(text) for form in _DATES) if hit), None)
    if found is None:
        return None
    rest = text[found.end() :]
    zone = _zone(rest) or zone
    time = _time(rest, cut_s)
    hour, minute, second, ahead_s, _end = time or (0, 0, 0, 0.0, 0)
    month = _MONTHS.index(found["month"].lower()[:3]) + 1
    years = [int(found["year"])] if found["year"] else [_local(now, zone).year + step for step in (0, 1)]
    days = [datetime(year, month, int(found["day"]), hour, minute, second) for year in years]  # noqa: DTZ001 - next step
    return _next([at for day in days for at in _instants(day, zone, ahead_s)], now)


def _clock(text: str, now: float, zone: tzinfo | None, cut_s: float) -> float | None:
    time = _time(text, cut_s)
    if time is None:
        return None
    hour, minute, second, ahead_s, end = time
    zone = _zone(text[end - 1 :]) or zone
    today = _local(now, zone).replace(hour=hour, minute=minute, second=second, microsecond=0, tzinfo=None)
    if "tomorrow" in text.lower():
        return _instant(today + timedelta(days=1), zone) + ahead_s
    days = (today + timedelta(days=step) for step in (-1, 0, 1))
    return _next([at for day in days for at in _instants(day, zone, ahead_s)], now)


def _duration(text: str, now: float, _zone: tzinfo | None, _cut_s: float) -> float | None:
    part = _DURATION.search(text)
    if part is None:
        whole = _SECONDS.fullmatch(text)
        return now + float(whole[1]) if whole else None
    seconds = 0.0
    while part is not None:
        unit = part[2].lower()
        seconds += float(part[1]) * _UNITS["ms" if unit.startswith(("ms", "milli")) else unit[0]]
        part = _FURTHER.match(text, part.end())
    return now + seconds


def _time(text: str, cut_s: float) -> tuple[int, int, int, float, int] | None:
    """Return hour, minute, second, the most seconds that were cut off, and where the text goes on.

    Raises ValueError for 13pm.
    """
    for form in _CLOCKS:
        found = form.search(text)
        if found is None:
            continue
        parts = found.groupdict()
        hour, minute, second = int(found["hour"]), int(found["minute"] or 0), int(found["second"] or 0)
        if "half" in parts:
            if not 1 <= hour <= 12:  # noqa: PLR2004 - the hours of a clock face
                raise ValueError(text)
            hour = hour % 12 + (12 if found["half"] in "pP" else 0)
        return hour, minute, second, 0.0 if found["second"] else cut_s, found.end()
    return None


def _zone(text: str) -> tzinfo | None:
    """Return the zone in a text, None if there is none; ``LookupError`` or ``ValueError`` for an unknown one."""
    offset = _OFFSET.search(text)
    if offset is not None:
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return timezone(ahead if offset[1] == "+" else -ahead)
    if _UTC.search(text):
        return UTC
    region = _REGION.search(text)
    short = _ABBREVIATION.search(text)
    if region is None and short is None:
        return None
    from zoneinfo import ZoneInfo  # reads the disk, and most texts name no zone

    if region is not None:
        return ZoneInfo(region[0])
    assert short is not None
    if short[1]:
        return ZoneInfo(f"America/{_NORTH_AMERICA[short[1]]}")
    east = {"CET": 1, "CEST": 2, "BST": 1, "JST": 9, "IST": 5.5, "AEST": 10, "AEDT": 11}
    return timezone(timedelta(hours=east[short[0]]))


def _local(now: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(now, UTC).astimezone(zone)


def _next(instants: list[float], now: float) -> float:
    """Return the first instant that is not long past, else the last."""
    return next((at for at in instants if at > now - JUST_PASSED_S), instants[-1])


def _instants(naive: datetime, zone: tzinfo | None, ahead_s: float) -> list[float]:
    """Return the instants at which a wall clock shows ``naive``: two when the clocks go back; ``ahead_s`` is added."""
    return sorted({_instant(naive.replace(fold=fold), zone) + ahead_s for fold in (0, 1)})


def _instant(naive: datetime, zone: tzinfo | None) -> float:
    """Return the instant a wall clock in ``zone`` (None: this machine's) shows ``naive``."""
    return (naive.replace(tzinfo=zone) if zone else naive.astimezone()).timestamp()
