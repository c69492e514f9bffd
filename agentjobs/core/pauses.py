"""What one outcome means for other tasks: a limit pauses its account, a broken machine halts the run. Pure.

Agents that share limits and a login are one account. The pause named ``RUN`` is the pause of the whole run.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.model.decisions import RUN
from agentjobs.model.outcomes import TROUBLE, Outcome
from agentjobs.model.state import Halt
from agentjobs.text.jitter import jitter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentjobs.model.facts import AgentEnd, Intent, Result
    from agentjobs.policy.limits import Limits

REFUSALS_MAX = 100
"""After a limit or server trouble this many times in a row (four days at one per hour), a person is asked."""

REFUSED_MAX = 5
"""A person is asked if this many attempts met a lost login, one of them started to test it."""

KEPT = 24
"""Number of the newest attempts that met a trouble which are remembered."""

STEPS_S = (20.0, 70.0, 540.0, 1200.0)
"""Pause after the first, second … attempt in a row that could not reach its service, plus up to a tenth at random.
A network that works for two of every four minutes is found while it works."""

UNKNOWN_STEPS_S = (20.0, 20.0, 100.0, 1200.0)
"""The same if only the number of tasks that failed without an answer shows the trouble; it starts at the second."""

SEVERAL = 3
"""If this many different tasks in a row failed alike without using a token, their account is the cause."""

MIXED_SEVERAL = 5
"""The same if their errors differ."""

MIXED = "*"
"""Mark of errors that have nothing in common."""

LANDING = "landing"
"""Reason of a halt because finished work can be neither checked nor landed; the work waits."""


class Pause(Struct, frozen=True, omit_defaults=True):
    """The pause of one account (state ``pauses.json``): none of its attempts starts before ``until``."""

    outcome: Outcome
    """limit, overloaded, unreachable, auth or infra; or crashed, which pauses nothing yet: see ``alike``."""
    until: float
    at: float
    """When it was last met by an attempt that started after the previous time."""
    detail: str
    count: int = 1
    """How many times in a row."""
    passed: bool = False
    """A later attempt got past it, even if it did not end well: others may follow, one at a time."""
    stuck: bool = False
    """Nothing starts until a person continues it (``dispatch``)."""
    since: float = 0.0
    """When it was first met; 0 in a file of an older version."""
    alike: tuple[str, ...] = ()
    """The newest attempts (``id/number``) that met it, where it was a lost login, or is only known by their number. Of
    crashed: those that have failed in a row without an answer of the model."""
    mark: str = ""
    """What the errors of those attempts have in common, where they are compared."""


class Unanswered(Struct, frozen=True):
    """An attempt failed without an answer of the model, whatever its error says."""

    several: int
    """If this many different tasks in a row fail alike, their account is the cause."""
    mark: str
    """What its error has in common with those that are alike."""
    mixed: int = 0
    """The same number if their errors differ; 0: such tasks are not counted together."""
    final: bool = False
    """A person is asked at once in that case."""


class Meaning(Struct, frozen=True):
    """What the end of an attempt means."""

    pauses: dict[str, Pause]
    halt: Halt | None = None
    excused: tuple[str, ...] = ()
    """Attempts (``id/number``) that failed because of the account, perhaps including this one: they do not count."""


def hold_s(key: str) -> float:
    """Return how many seconds finished work waits before git or the machine is tried again."""
    return 2.0 + 10.0 * jitter(key)


def work_waits_until(halt: Halt | None, hold: Pause | None, now: float) -> float:
    """Return until when finished work waits because git or the machine refused to check or land some.

    0: it does not wait; infinite: until a person has looked.
    """
    if halt is not None and halt.why == LANDING:
        return math.inf
    if hold is None or hold.at > now:  # a hold of the future: the clock was put back
        return 0.0
    return hold.until if now < hold.until else 0.0


def told_of(account: str, pause: Pause, first: Literal["account", "outcome"] = "account") -> str:
    """Return the account, its trouble and the reported words, in one line for people."""
    names = [account, pause.outcome.value] if first == "account" else [pause.outcome.value, account]
    ends = pause.stuck and pause.outcome is Outcome.LIMIT and pause.until > pause.at
    until = f" (ends {datetime.fromtimestamp(pause.until, UTC).astimezone():%Y-%m-%d %H:%M:%S})" if ends else ""
    return ": ".join([*(name for name in names if name), pause.detail + until])


def in_force(pauses: Mapping[str, Pause]) -> dict[str, Pause]:
    """Return the pauses that stop something; a ``crashed`` one does not, the task itself may be the cause."""
    return {account: pause for account, pause in pauses.items() if pause.outcome in TROUBLE}


def pauses_after(
    pauses: Mapping[str, Pause],
    account: str,
    intent: Intent,
    end: AgentEnd | None,
    result: Result,
    limits: Limits,
    now: float,
    unanswered: Unanswered | None = None,
) -> Meaning:
    """Return what an attempt means whose agent (of ``account``) came to ``end``.

    What the agent met is its account's trouble. ``infra`` that is not the agent's (git, a full disk, the setup
    command) is everybody's: met again it halts the run.
    """
    after = dict(pauses)
    key = f"{intent.id}/{intent.number}"
    excused: tuple[str, ...] = ()
    judged = partial(pause_after, started_at=intent.started_at, key=key, limits=limits, now=now)
    if end is not None:
        words = f"{intent.id}: {end.detail}"
        before, outcome = pauses.get(account), end.outcome
        found: Pause | None
        if unanswered is not None and (before is None or before.outcome is Outcome.CRASHED):
            found = _suspected(before, unanswered, key, words, now)
        else:
            if unanswered is not None:
                outcome = Outcome.UNREACHABLE
                words = _in_a_row(_with(before.alike if before is not None else (), key), words)
            found = judged(before, outcome, reset_at=end.reset_at, detail=words)
        if found is not None and found.outcome in TROUBLE and unanswered is not None:
            excused = found.alike if key in found.alike else (key,)
        elif before is not None and before.outcome is Outcome.CRASHED and outcome in TROUBLE:
            excused = before.alike
        put(after, account, found)
    machine = Outcome.STOPPED
    if result.outcome is Outcome.INFRA and (end is None or end.outcome is not Outcome.INFRA):
        machine = Outcome.INFRA
    elif not result.outcome.rules.outside:
        machine = Outcome.OK
    detail = f"{intent.id}: {result.detail}"
    if machine is Outcome.INFRA and result.check:  # the program of a check is missing: no further try finds it
        return Meaning(after, Halt(machine.value, detail, now), excused)
    found = judged(pauses.get(RUN), machine, reset_at=0.0, detail=detail)
    if found is not None and found.stuck:
        return Meaning(after, Halt(found.outcome.value, detail, now), excused)
    put(after, RUN, found)
    return Meaning(after, None, excused)


def put(pauses: dict[str, Pause], account: str, pause: Pause | None) -> None:
    """Set the pause of an account; None removes it."""
    if pause is not None:
        pauses[account] = pause
    else:
        pauses.pop(account, None)


def pause_after(
    pause: Pause | None,
    outcome: Outcome,
    *,
    started_at: float,
    reset_at: float,
    detail: str,
    key: str,
    limits: Limits,
    now: float,
) -> Pause | None:
    """Return the pause of an account after an attempt that ended so; None: go on.

    ``started_at``: of the attempt, to separate new trouble from an echo of the known one. ``reset_at``: when a limit
    ends; 0: not known. ``key``: of the attempt, for the jitter.
    """
    if pause is not None and pause.stuck:  # a limit that an older attempt meets is still to be waited for afterwards
        return replace(pause, until=max(pause.until, reset_at)) if outcome is Outcome.LIMIT else pause
    if outcome not in TROUBLE:
        return _after_none(pause, outcome, started_at, now)
    if pause is not None and pause.outcome is Outcome.CRASHED:
        pause = None
    news = pause is not None and started_at > pause.at
    known = pause if pause is not None and _is_same(pause.outcome, outcome) else None
    alike = known.alike if known is not None else ()
    if outcome is Outcome.AUTH or (outcome is Outcome.UNREACHABLE and alike):
        alike = _with(alike, key)
    if known is not None and not news and outcome not in {Outcome.LIMIT, Outcome.OVERLOADED}:
        return replace(known, alike=alike)
    count = known.count + news if known is not None else 1
    since = (known.since or known.at) if known is not None else now
    steps = UNKNOWN_STEPS_S if alike and outcome is Outcome.UNREACHABLE else STEPS_S
    until = _until(outcome, count, reset_at, key, now, steps)
    if pause is not None and known is None and pause.until > until:
        return pause  # the longer trouble goes on; what is new will be met again after it
    at = now if news or known is None else known.at
    if known is not None:
        until = max(until, known.until)
    stuck = count > REFUSALS_MAX or count >= (outcome.rules.refusals_max or count + 1)
    stuck = stuck or (outcome is Outcome.AUTH and news and len(alike) >= REFUSED_MAX)
    stuck = stuck or (outcome is Outcome.LIMIT and until > since + limits.limit_s)
    stuck = stuck or (outcome is Outcome.UNREACHABLE and until > since + limits.unreachable_s)
    if stuck and outcome is not Outcome.LIMIT:
        until = now
    return Pause(outcome, until, at, detail, count, stuck=stuck, since=since, alike=alike)


def _with(alike: tuple[str, ...], key: str) -> tuple[str, ...]:
    return alike if key in alike else (*alike, key)[-KEPT:]


def _after_none(pause: Pause | None, outcome: Outcome, started_at: float, now: float) -> Pause | None:
    """Return the pause after an attempt without a known trouble."""
    if pause is None or outcome.rules.served == "no" or started_at <= pause.at or pause.until > now:
        return pause
    if pause.outcome is Outcome.CRASHED:
        return None
    return None if outcome.rules.served == "yes" else replace(pause, passed=True)


def _is_same(one: Outcome, other: Outcome) -> bool:
    """Return True for the same trouble; a lost login may be reported as a service that cannot be reached."""
    return one is other or {one, other} == {Outcome.AUTH, Outcome.UNREACHABLE}


def _until(
    outcome: Outcome, count: int, reset_at: float, key: str, now: float, steps: tuple[float, ...] = STEPS_S
) -> float:
    """Return when to try an account again that met this trouble ``count`` times in a row."""
    if outcome is Outcome.LIMIT:
        return _limit_ends(reset_at, count, now)
    if outcome is Outcome.OVERLOADED:
        return now + min(600.0, 15.0 * 2.0 ** min(count - 1, 10)) * (0.75 + 0.5 * jitter(key))
    if outcome is Outcome.UNREACHABLE or count > 1:
        return now + steps[min(count, len(steps)) - 1] * (1.0 + 0.1 * jitter(key))
    return now + hold_s(key)


def _limit_ends(reset_at: float, count: int, now: float) -> float:
    """Return when to try again after a limit met ``count`` times in a row; a wrong reset time is not trusted forever.

    A reset time that is over was rounded down: then only seconds are missing.
    """
    if reset_at <= 0.0:
        return now + min(3600.0, 300.0 * 2.0 ** min(count - 1, 10))
    least = min(3600.0, 15.0 * 2.0 ** min(count - 2, 10)) if count > 1 else 1.0
    return max(reset_at, now + least)


def _suspected(pause: Pause | None, unanswered: Unanswered, key: str, detail: str, now: float) -> Pause:
    """Return the pause of an account after one more attempt without an answer.

    Below ``several`` different tasks it stops nothing: each task may have failed by its own fault.
    """
    if pause is None or (pause.mark != unanswered.mark and not unanswered.mixed):
        pause = Pause(Outcome.CRASHED, now, now, detail, since=now, mark=unanswered.mark)
    alike = _with(pause.alike, key)
    count, mark = len(_tasks_of(alike)), pause.mark if pause.mark == unanswered.mark else MIXED
    if count < (unanswered.several if mark != MIXED else unanswered.mixed):
        return replace(pause, detail=detail, count=count, alike=alike, mark=mark)
    words = _in_a_row(alike, detail)
    if unanswered.final:
        return Pause(Outcome.UNREACHABLE, now, now, words, count, stuck=True, since=pause.since, alike=alike)
    until = _until(Outcome.UNREACHABLE, 2, 0.0, key, now, UNKNOWN_STEPS_S)
    return Pause(Outcome.UNREACHABLE, until, now, words, 2, since=pause.since, alike=alike)


def _tasks_of(alike: tuple[str, ...]) -> set[str]:
    return {key.rpartition("/")[0] for key in alike}


def _in_a_row(alike: tuple[str, ...], detail: str) -> str:
    """Return why the account is the cause, in one line for people."""
    count = len(_tasks_of(alike))
    return f"{count} tasks in a row failed without an answer of the model; {detail}" if count > 1 else detail


def lifted(pauses: Mapping[str, Pause], now: float) -> dict[str, Pause]:
    """Return the pauses after ``dispatch``: stuck accounts get one more try; usage limits keep their end time."""

    def lift(pause: Pause) -> Pause:
        count = (pause.outcome.rules.refusals_max or 2) - 1  # the next failure needs a person again
        again = replace(pause, stuck=False, at=min(pause.at, now), count=count, since=now, alike=())
        return again if pause.stuck else pause

    return {account: lift(pause) for account, pause in pauses.items()}
