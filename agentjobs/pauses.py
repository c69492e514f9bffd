"""What one outcome means for all: limits, logins and a broken machine pause the run, or halt it. Pure."""

from __future__ import annotations

from agentjobs.model import Halt, Outcome, Pause

PROBED = frozenset({Outcome.AUTH, Outcome.INFRA})
"""Trouble that one attempt finds out about for all."""


LANDING = "landing"
"""Why of a halt because finished work can be neither checked nor landed: it waits as it stands."""


def hold_s(key: str) -> float:
    """Return how long finished work waits before git or the machine is asked once more."""
    return 2.0 + 10.0 * jitter(key)


def jitter(key: str) -> float:
    """Return a number in [0, 1) that depends on the key alone, so that a plan can be made twice."""
    from hashlib import blake2b  # noqa: PLC0415

    return int.from_bytes(blake2b(key.encode(), digest_size=4).digest()) / 2**32


def pause_after(
    pause: Pause | None, outcome: Outcome, *, started_at: float, reset_at: float, detail: str, key: str, now: float
) -> Pause | Halt | None:
    """Return what the run as a whole does after an attempt that ended so: go on (None), pause, or halt.

    ``started_at``: of the attempt, to tell news from an echo of the trouble we know.
    """
    news = pause is not None and started_at > pause.at
    count = pause.count + 1 if pause is not None and news and pause.outcome is outcome else 1
    if pause is not None and not news and pause.outcome is outcome:
        count = pause.count
    if outcome is Outcome.LIMIT:
        until = reset_at if reset_at > now else now + min(3600.0, 300.0 * 2.0 ** min(count - 1, 10))
    elif outcome is Outcome.OVERLOADED:
        until = now + min(600.0, 15.0 * 2.0 ** min(count - 1, 10)) * (0.75 + 0.5 * jitter(key))
    elif outcome in PROBED:
        if pause is not None and pause.outcome is outcome and news:
            return Halt(outcome.value, detail, now)
        until = now + hold_s(key)
        if pause is not None and pause.outcome is outcome:
            return pause
    else:
        if outcome is Outcome.STOPPED or (pause is not None and (not news or pause.until > now)):
            return pause
        return None
    if pause is not None and pause.outcome is not outcome and pause.until > until:
        return pause  # the longer trouble goes on; what is new will be met again after it
    if pause is not None and pause.outcome is outcome:
        until = max(until, pause.until)
    return Pause(outcome, until, now, detail, count)
