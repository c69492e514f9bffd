"""What one outcome means for others: a limit or a login for its account, a broken machine for the run. Pure.

Whatever shares limits and a login is an account; the pause named ``RUN`` is that of the whole run.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from agentjobs.model import Halt, Outcome, Pause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentjobs.model import AgentEnd, Intent, Result

RUN = ""
"""In place of an account: all of them, because the machine is at fault."""

PROBED = frozenset({Outcome.AUTH, Outcome.INFRA})
"""Trouble that does not end by itself: once it is met again, a person is needed."""

TROUBLE = frozenset({Outcome.LIMIT, Outcome.OVERLOADED, Outcome.AUTH, Outcome.INFRA})
"""Outcomes that mean something for others."""

SILENT = frozenset({Outcome.STOPPED, Outcome.LOST, Outcome.NO_SESSION, Outcome.SESSION_BUSY})
"""Ends before anybody was asked: they do not say that a trouble is over."""

WELL = frozenset(
    {
        Outcome.OK,
        Outcome.VERIFY_FAILED,
        Outcome.GATE_FAILED,
        Outcome.REJECTED,
        Outcome.OUT_OF_SCOPE,
        Outcome.NO_CHANGE,
        Outcome.CONFLICT,
        Outcome.CONTEXT_FULL,
    }
)
"""The agent was served to the end, whatever it made of that."""

REFUSALS_MAX = 100
"""So many times running (at one an hour: four days) a limit is waited for; then a person is asked."""

LANDING = "landing"
"""Why of a halt because finished work can be neither checked nor landed: it waits as it stands."""


def hold_s(key: str) -> float:
    """Return how long finished work waits before git or the machine is asked once more."""
    return 2.0 + 10.0 * jitter(key)


def jitter(key: str) -> float:
    """Return a number in [0, 1) that depends on the key alone, so that a plan can be made twice."""
    from hashlib import blake2b  # noqa: PLC0415

    return int.from_bytes(blake2b(key.encode(), digest_size=4).digest()) / 2**32


def told_of(account: str, pause: Pause, first: Literal["account", "outcome"] = "account") -> str:
    """Return whose trouble it is and what was said, in one line for people."""
    names = [account, pause.outcome.value] if first == "account" else [pause.outcome.value, account]
    return ": ".join([*(name for name in names if name), pause.detail])


def pauses_after(
    pauses: Mapping[str, Pause], account: str, intent: Intent, end: AgentEnd | None, result: Result, now: float
) -> tuple[dict[str, Pause], Halt | None]:
    """Return all pauses after an attempt whose agent (of ``account``) came to ``end``, and a halt of the run.

    What the agent met is its account's trouble. ``infra`` that is not the agent's (git, a full disk, the setup
    command) is everybody's: met again it halts the run.
    """
    after = dict(pauses)
    key = f"{intent.id}/{intent.number}"
    judged = partial(pause_after, started_at=intent.started_at, key=key, now=now)
    if end is not None:
        words = f"{intent.id}: {end.detail}"
        put(after, account, judged(pauses.get(account), end.outcome, reset_at=end.reset_at, detail=words))
    machine = Outcome.STOPPED
    if result.outcome is Outcome.INFRA and (end is None or end.outcome is not Outcome.INFRA):
        machine = Outcome.INFRA
    elif result.outcome not in TROUBLE | {Outcome.STOPPED, Outcome.LOST}:
        machine = Outcome.OK
    detail = f"{intent.id}: {result.detail}"
    found = judged(pauses.get(RUN), machine, reset_at=0.0, detail=detail)
    if found is not None and found.stuck:
        return after, Halt(found.outcome.value, detail, now)
    put(after, RUN, found)
    return after, None


def put(pauses: dict[str, Pause], account: str, pause: Pause | None) -> None:
    """Note the pause of an account among all; None: it has none any more."""
    if pause is not None:
        pauses[account] = pause
    else:
        pauses.pop(account, None)


def pause_after(
    pause: Pause | None, outcome: Outcome, *, started_at: float, reset_at: float, detail: str, key: str, now: float
) -> Pause | None:
    """Return the pause of an account after an attempt that ended so; None: go on.

    ``started_at``: of the attempt, to tell news from an echo of the trouble we know.
    """
    if pause is not None and pause.stuck:  # a limit that an older attempt meets is still to be waited for afterwards
        return replace(pause, until=max(pause.until, reset_at)) if outcome is Outcome.LIMIT else pause
    news = pause is not None and started_at > pause.at
    same = pause is not None and pause.outcome is outcome
    count = pause.count + news if pause is not None and same else 1
    if outcome is Outcome.LIMIT:
        until = _limit_ends(reset_at, count, now)
    elif outcome is Outcome.OVERLOADED:
        until = now + min(600.0, 15.0 * 2.0 ** min(count - 1, 10)) * (0.75 + 0.5 * jitter(key))
    elif outcome in PROBED:
        if pause is not None and same:
            return Pause(outcome, now, now, detail, count, stuck=True) if news else pause
        until = now + hold_s(key)
    elif pause is None or outcome in SILENT or not news or pause.until > now:
        return pause
    else:
        return None if outcome in WELL else replace(pause, passed=True)
    if pause is not None and not same and pause.until > until:
        return pause  # the longer trouble goes on; what is new will be met again after it
    if pause is not None and same:
        until = max(until, pause.until)
    return Pause(outcome, until, now, detail, count, stuck=count > REFUSALS_MAX)


def _limit_ends(reset_at: float, count: int, now: float) -> float:
    """Return when a limit is tried again that was met ``count`` times running: no wrong time is believed for ever."""
    if reset_at <= now:
        return now + min(3600.0, 300.0 * 2.0 ** min(count - 1, 10))
    least = min(3600.0, 15.0 * 2.0 ** min(count - 2, 10)) if count > 1 else 0.0
    return max(reset_at, now + least)


def lifted(pauses: Mapping[str, Pause], now: float) -> dict[str, Pause]:
    """Return the pauses after a person said "go on": who was stuck tries once more, a limit goes on."""
    return {
        account: replace(p, stuck=False, at=min(p.at, now), count=1) if p.stuck else p
        for account, p in pauses.items()
    }
