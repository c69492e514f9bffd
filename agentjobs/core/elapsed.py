"""How long a step has run and been silent, counting only time in which the machine was awake. Pure.

The wall clock can jump: people set it, and a suspended machine wakes hours later. So each look at a step adds the time
since the previous look, by a clock that stands still while the machine sleeps.

If everything was stopped (a debugger, a frozen container), the agent was not silent. So a long gap between two looks
does not count as silence. Two long gaps in a row mean that looks are rare here (poll in cron): then they count.
"""

from __future__ import annotations

from msgspec import Struct

LONG_S = 3.0
"""A longer gap between two looks means that everything was stopped, or that polls are rare."""


class Reading(Struct, frozen=True):
    """The clocks at one look."""

    wall: float
    awake: float
    """Seconds since the boot, without those in which the machine slept."""
    uptime: float
    """Seconds since the boot."""
    boot: str
    """Id of the boot."""


class Pace(Struct, frozen=True):
    """What is known about one running step."""

    ran_s: float
    silent_s: float
    output: tuple[float, int]
    """When its output last moved, by the clock of the file system, and how long it is."""


class Looks(Struct, frozen=True):
    """State ``looks.json``: the last look."""

    at: Reading
    gap_s: float = 0.0
    """Seconds between this look and the one before."""
    steps: dict[str, Pace] = {}


def gap_before(before: Looks | None, now: Reading) -> float | None:
    """Return the seconds since the last look in which the machine was awake; None if not known."""
    if before is None or before.at.boot != now.boot or now.awake < before.at.awake:
        return None
    return now.awake - before.at.awake


def age_of(now: Reading, started_at: float, began: float | None) -> float:
    """Return how long ago a step started, asleep or awake; ``began`` is its start by ``uptime``, or None."""
    return now.wall - started_at if began is None else now.uptime - began


def paced(before: Looks | None, now: Reading, key: str, output: tuple[float, int], age_s: float) -> Pace:
    """Return what is known about a step now; ``age_s`` is used when it is seen for the first time."""
    gap_s = gap_before(before, now)
    old = before.steps.get(key) if before is not None and gap_s is not None else None
    if before is None or gap_s is None or old is None:
        ran_s = max(0.0, age_s if gap_s is None else min(age_s, gap_s))
        return Pace(ran_s, 0.0, output)
    ran_s = old.ran_s + gap_s
    if output != old.output:
        return Pace(ran_s, 0.0, output)
    counts = gap_s <= LONG_S or before.gap_s > LONG_S
    return Pace(ran_s, old.silent_s + (gap_s if counts else 0.0), output)
