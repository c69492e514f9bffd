"""How long a step has run and been silent, as the machine was awake for it. Pure.

The wall clock jumps: it is set, and a suspended machine wakes hours later. So time is added up from look to look, by a
clock that stands still while the machine sleeps. What is known at a look is kept for the next one.

A stop of everything (a debugger, a frozen container) is not silence of the agent: where nobody looked for long, it
is not counted as silence. Two such gaps in a row mean that looks are rare here, as with a poll in cron: they count.
"""

from __future__ import annotations

from msgspec import Struct

LONG_S = 3.0
"""A gap between two looks that is longer was either a stop of everything, or nobody polls more often."""


class Reading(Struct, frozen=True):
    """The clocks at one look."""

    wall: float
    awake: float
    """Seconds since the boot, without those in which the machine slept."""
    uptime: float
    """Seconds since the boot."""
    boot: str
    """Names the boot."""


class Pace(Struct, frozen=True):
    """What is known of one running step."""

    ran_s: float
    silent_s: float
    output: tuple[float, int]
    """When its output last moved, by the clock of the file system, and how long it is."""


class Looks(Struct, frozen=True):
    """State ``looks.json``: the last look."""

    at: Reading
    gap_s: float = 0.0
    """How long before it nobody had looked."""
    steps: dict[str, Pace] = {}


def gap_before(before: Looks | None, now: Reading) -> float | None:
    """Return how long nobody looked, while the machine was awake; None where that is not known."""
    if before is None or before.at.boot != now.boot or now.awake < before.at.awake:
        return None
    return now.awake - before.at.awake


def age_of(now: Reading, started_at: float, began: float | None) -> float:
    """Return how long ago a step began, asleep or awake; ``began`` is on the clock of ``uptime``, where it is known."""
    return now.wall - started_at if began is None else now.uptime - began


def paced(before: Looks | None, now: Reading, key: str, output: tuple[float, int], age_s: float) -> Pace:
    """Return what is known of a step now; ``age_s`` counts where it is seen for the first time."""
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
