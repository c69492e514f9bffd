"""When a limit ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.agents.reset_time import LONGEST_S, SOON_S, parse_reset

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC).timestamp()  # a Saturday, 04:00 in Chicago


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3:54am (UTC)", "2026-11-22T03:55:00"),
        ("You've hit your 5-hour limit · resets 3:54am (UTC)", "2026-11-22T03:55:00"),
        ("5-hour limit reached ∙ resets 2am", "2026-11-22T02:01:00"),
        ("9am (America/Chicago)", "2026-11-21T15:01:00"),
        ("try again at 11:55 AM.", "2026-11-21T11:56:00"),
        ("11:55\u202fAM", "2026-11-21T11:56:00"),
        ("12am", "2026-11-22T00:01:00"),
        ("12:30 p.m.", "2026-11-21T12:31:00"),
        ("15:55", "2026-11-21T15:56:00"),
        ("5pm (PST)", "2026-11-22T01:01:00"),
        ("5pm PT", "2026-11-22T01:01:00"),
        ("1pm UTC+2", "2026-11-21T11:01:00"),
        ("tomorrow at 11am", "2026-11-22T11:01:00"),
        ("Nov 30 at 7am (America/Chicago)", "2026-11-30T13:01:00"),
        ("Nov 22nd, 2026 3:54 PM", "2026-11-22T15:55:00"),
        ("Sat, 21 Nov 2026 23:54:00 GMT", "2026-11-21T23:54:00"),
        ("1 December", "2026-12-01T00:00:00"),
        ("2026-11-21T12:00:00Z", "2026-11-21T12:00:00"),
        ("2026-11-21T13:00:00.123+02:00", "2026-11-21T11:00:00"),
        ("2026-11-21 05:00:00-06:00", "2026-11-21T11:00:00"),
        ("limit reached|1795260000", "2026-11-21T11:20:00"),
        ("1795260000000", "2026-11-21T11:20:00"),
        ("Your quota will reset after 4h28m20s.", "2026-11-21T14:28:20"),
        ("in 2 hours", "2026-11-21T12:00:00"),
        ("90 seconds", "2026-11-21T10:01:30"),
        ("2 minutes and 5 seconds", "2026-11-21T10:02:05"),
        ("1 day, 3 hours", "2026-11-22T13:00:00"),
        ("1.5h", "2026-11-21T11:30:00"),
        ("3600", "2026-11-21T11:00:00"),
        ("09:59:30 UTC", "2026-11-21T10:00:05"),  # it has just passed: soon, not tomorrow
        ("9:58am (UTC)", "2026-11-21T10:00:05"),
        ("2026-11-21T09:59:30Z", "2026-11-21T10:00:05"),
        ("1795255100", "2026-11-21T10:00:05"),
        ("2026-12-01 at 00:00 UTC", "2026-12-01T00:01:00"),
        ("2026-12-01.", "2026-12-01T00:00:00")
    ],
)
def test_forms(text: str, expected: str) -> None:
    at = parse_reset(text, NOW, UTC)
    assert at is not None
    assert datetime.fromtimestamp(at, UTC).replace(tzinfo=None, microsecond=0).isoformat() == expected


@pytest.mark.parametrize(
    "text",
    ["", "soon", "13pm", "25:00", "9am (Nowhere/Land)", "Dec 32 at 7am", "1700000000", "2026-11-21T09:00:00Z",
     "Apr 10 at 7am", "9999 days", "1" * 5000, "5-hour", "2026-13-45T99:99:99Z"],
)  # fmt: skip
def test_no_instant(text: str) -> None:
    assert parse_reset(text, NOW, UTC) is None


def test_a_zone_for_times_without_one() -> None:
    east = timezone(timedelta(hours=2))
    assert parse_reset("1pm", NOW, east) == NOW + 3600 + 60
    assert parse_reset("1pm", NOW, east, cut_s=0.0) == NOW + 3600
    assert parse_reset("1pm (UTC)", NOW, east) == NOW + 3 * 3600 + 60


def test_the_turn_of_the_year() -> None:
    december = datetime(2026, 12, 30, tzinfo=UTC).timestamp()
    assert parse_reset("Jan 2 at 1am", december, UTC) == datetime(2027, 1, 2, 1, 1, tzinfo=UTC).timestamp()


def test_daylight_saving_is_the_zones_business() -> None:
    before = datetime(2026, 10, 31, 20, tzinfo=UTC).timestamp()  # the clocks of Chicago go back that night
    expected = datetime(2026, 11, 1, 15, 1, tzinfo=UTC).timestamp()
    assert parse_reset("9am (America/Chicago)", before) == expected


ZONES = st.sampled_from(
    ["UTC", "America/Chicago", "America/Sao_Paulo", "Europe/Rome", "Asia/Kolkata", "Asia/Tokyo", "Australia/Lord_Howe",
     "Pacific/Auckland", "America/St_Johns"]
)  # fmt: skip
BORDERS = st.sampled_from(
    [
        datetime(2026, 11, 1, 6, tzinfo=UTC),  # Chicago's clocks have gone back
        datetime(2026, 3, 8, 8, tzinfo=UTC),  # and forward
        datetime(2026, 10, 25, 1, tzinfo=UTC),  # Rome's have gone back
        datetime(2027, 1, 1, tzinfo=UTC),
        datetime(2026, 12, 1, tzinfo=UTC),
        datetime(2026, 11, 21, 10, tzinfo=UTC),
    ]
)
FORMS = {
    "%-I:%M%p ({zone})": 6 * 3600.0,
    "resets %I:%M %p ({zone})": 6 * 3600.0,
    "%H:%M ({zone})": 6 * 3600.0,
    "%H:%M:%S ({zone})": 6 * 3600.0,
    "%b %-d at %-I:%M%p ({zone})": 8 * 86_400.0,
    "try again at %b %-d, %Y %-I:%M %p ({zone}).": 8 * 86_400.0,
}


@settings(max_examples=400, deadline=None)
@given(
    zone=ZONES,
    border=BORDERS,
    off=st.floats(-7200, 7200),
    form=st.sampled_from(sorted(FORMS)),
    wait=st.one_of(st.floats(-300, 300), st.floats(0, 1)),
)
def test_no_pause_is_longer_than_what_was_cut_off(
    zone: str, border: datetime, off: float, form: str, wait: float
) -> None:
    """A clock time is the reset, cut to the minute, in any zone, near any border: it is never tomorrow's, and no minute
    later than it should be; the hour that a clock shows twice may be taken for its first time."""
    now = border.timestamp() + off
    reset = now + (wait * FORMS[form] if 0 <= wait <= 1 else wait)
    there = ZoneInfo(zone)
    told = datetime.fromtimestamp(reset, there)
    text = told.strftime(form).format(zone=zone)
    at = parse_reset(text, now)
    assert at is not None
    assert at <= max(reset, now) + 60 + 1e-6  # datetime rounds to microseconds
    twice = told.replace(fold=0).utcoffset() != told.replace(fold=1).utcoffset()
    cut = 1.0 if "%S" in form else 1e-3  # a minute is rounded up, a second is not
    assert twice or at >= min(reset, now + SOON_S) - cut


WORDS = st.sampled_from(
    [
        "3:54",
        "9",
        "am",
        "pm",
        " ",
        "(",
        ")",
        "UTC",
        "America/Chicago",
        "A/../../etc",
        "Nov",
        "31",
        "2026",
        "-",
        "T",
        "Z",
        "+99:99",
        "+02:00",
        "h",
        "m",
        "in ",
        "1795260000",
        "99999999999999",
        "٣",
        "tomorrow",
        "EST",
        ":",
        "Feb 29",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    text=st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=8).map("".join)),
    now=st.floats(0, 4e9),
)
def test_always_in_the_bounded_future(text: str, now: float) -> None:
    at = parse_reset(text, now, UTC)
    assert at is None or now < at <= now + LONGEST_S


@given(now=st.floats())
def test_no_clock_makes_it_raise(now: float) -> None:
    parse_reset("3:54am", now)
    parse_reset("Nov 30 at 7am", now)
    parse_reset("4h", now)
