"""Bounds, budgets and retries: ``[limits]`` and ``[retry]`` of agentjobs.toml. Pure."""

from __future__ import annotations

import math
import re
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from agentjobs.text.toml import FieldError

CENT: Final = 0.01

Share = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=0)]
Several = Annotated[int, Meta(ge=1)]

_SIZE: Final = re.compile(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)
_TOKENS: Final = re.compile(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([km]?)\s*", re.IGNORECASE)


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one step, one task and the whole run may take. A budget that is not set does not exist."""

    attempt_minutes: Positive = 30.0
    """Wall clock of one agent step; past it the attempt is ended as `timeout`."""
    idle_minutes: Positive = 10.0
    """An agent that has written no output for so long is ended as `stalled`."""
    verify_minutes: Positive = 15.0
    """Wall clock of one check, of one gate, and of the `plan` of a phase."""
    setup_minutes: Positive = 15.0
    """Wall clock of the `setup` command of a workspace."""
    start_interval_s: Amount = 0.5
    """Seconds between the start of one agent and the next."""
    stop_grace_s: Amount = 10.0
    """Seconds between one stop signal and the next, and before `KILL`."""
    finish_grace_s: Amount = 30.0
    """Seconds an agent may go on living after its final event."""
    min_free_memory: str = "1GiB"
    """Start nothing while less memory than this is free."""
    output: str = "64MiB"
    """An agent whose log grows past it is ended as `runaway`."""
    file_size: str = "1GiB"
    """Hard limit of any one file an agent or a check writes."""
    breaker: Count = 5
    """Halt when the first so many attempts all failed alike. Later in a run: an account whose agent does not tell its
    tokens is stopped when so many new tasks in a row failed alike in their first minute. 0 turns both off."""
    unreachable_minutes: Amount = 15.0
    """An account whose service cannot be reached is tried again for so long, a little later each time; then a person
    is asked. With 15 that is after four attempts; for a run at night more is better."""
    limit_hours: Amount | None = None
    """How long the end of a usage limit is waited for, from the moment it was met; a limit that ends later stops the
    account, and a person is asked. 0: always. Unset: as long as it takes."""
    run_attempts: Several | None = None
    """Attempts of the whole run."""
    run_tokens: Several | None = None
    """Tokens of the whole run."""
    run_cost_usd: Positive | None = None
    """Money of the whole run, US dollars."""
    tokens_in_flight: str | Several | None = None
    """Context of all running agents together, as in `"500k"`: an attempt begins only if what they hold and what it is
    expected to (its prompt, the files and documents its row names) stay within it. One that is larger alone runs alone;
    the rows after one that has to wait wait as well. Nobody is ended for it."""
    task_attempts: Several | None = None
    """Attempts of one task over all its rounds."""
    task_cost_usd: Positive | None = None
    """Money of one task, US dollars; a running agent that is known to have used it up is ended as `runaway`."""
    unknown_cost: Literal["refuse", "allow"] = "refuse"
    """What becomes of `run_cost_usd` and `task_cost_usd` where a cost is not known. `refuse`: `check` and `dispatch`
    refuse an agent that tells no cost and whose model has no price, and the run halts after an attempt whose cost
    nobody knows. `allow`: the budgets count what is known."""
    hard_cap: Annotated[float, Meta(ge=1)] = 1.25
    """Running agents are ended, and taken up again once there is more, when `run_tokens` or `run_cost_usd` is
    exceeded by this factor."""
    same_errors: Count = 20
    """An agent that reports the same error so many times in a row is ended as `runaway`; 0: never."""
    idle_requests: Count = 300
    """An agent whose model has answered so many times while its tree stayed as it was is ended as `runaway`;
    0: never."""
    handoff_minutes: Amount = 5.0
    """Wall clock of the turn in which an agent that was stopped for its full context writes a handoff; 0: it is
    not asked for one."""

    def __post_init__(self) -> None:
        for key in ("min_free_memory", "output", "file_size"):
            try:
                parse_size(getattr(self, key))
            except ValueError as error:
                raise FieldError(key, str(error)) from None
        if isinstance(self.tokens_in_flight, str):
            try:
                parse_tokens(self.tokens_in_flight)
            except ValueError as error:
                raise FieldError("tokens_in_flight", str(error)) from None

    @property
    def money(self) -> str:
        """The key of a budget of money that has to be kept; empty where there is none."""
        budgets = (key for key in ("run_cost_usd", "task_cost_usd") if getattr(self, key) is not None)
        return next(budgets, "") if self.unknown_cost == "refuse" else ""

    @property
    def flight_tokens(self) -> int | None:
        """``tokens_in_flight`` as a number; None where there is no cap."""
        cap = self.tokens_in_flight
        return parse_tokens(cap) if isinstance(cap, str) else cap

    @property
    def attempt_s(self) -> float:
        """``attempt_minutes`` in seconds."""
        return self.attempt_minutes * 60

    @property
    def idle_s(self) -> float:
        """``idle_minutes`` in seconds."""
        return self.idle_minutes * 60

    @property
    def verify_s(self) -> float:
        """``verify_minutes`` in seconds."""
        return self.verify_minutes * 60

    @property
    def setup_s(self) -> float:
        """``setup_minutes`` in seconds."""
        return self.setup_minutes * 60

    @property
    def handoff_s(self) -> float:
        """``handoff_minutes`` in seconds."""
        return self.handoff_minutes * 60

    @property
    def unreachable_s(self) -> float:
        """``unreachable_minutes`` in seconds."""
        return self.unreachable_minutes * 60

    @property
    def limit_s(self) -> float:
        """``limit_hours`` in seconds; infinity where it is not set."""
        return math.inf if self.limit_hours is None else self.limit_hours * 3600

    @property
    def min_free_memory_bytes(self) -> int:
        """``min_free_memory`` in bytes."""
        return parse_size(self.min_free_memory)

    @property
    def output_bytes(self) -> int:
        """``output`` in bytes."""
        return parse_size(self.output)

    @property
    def file_size_bytes(self) -> int:
        """``file_size`` in bytes."""
        return parse_size(self.file_size)

    def starved(self, free: int) -> str:
        """Say that nothing may start with so many bytes of memory free; empty where it may."""
        gib, wanted = 1 << 30, self.min_free_memory_bytes
        if free >= wanted:
            return ""
        least = f"{wanted / gib:.1f} GiB (limits.min_free_memory)"
        return f"{free / gib:.1f} GiB of memory are free, and nothing starts below {least}"


class Retry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often to try again, and when starting over pays."""

    resumes: Count = 2
    """Layer 1, in one round: continue the same conversation after a crash or a timeout."""
    repairs: Count = 3
    """Layer 2, in one round: a fresh conversation in the same tree, with the errors."""
    restarts: Count = 1
    """Layer 3, in one round: start over from a clean tree, after all else has settled."""
    diagnose_above: Share = 0.10
    """When more than this share of the tasks failed, layer 3 does not run: the prompt needs work first."""
    task_value_usd: Amount = 5.0
    """What one finished task is worth; layer 3 runs only where it is likely to pay."""


def parse_tokens(text: str) -> int:
    """Return a number of tokens such as ``500k``, ``1.5M`` or ``60000``, at least 1; ValueError for anything else."""
    found = _TOKENS.fullmatch(text)
    number = math.floor(float(found[1]) * 1000 ** " km".index(found[2].lower() or " ")) if found else 0
    if number < 1:
        raise ValueError(f'{text!r} is no number of tokens; write it as "500k", "1.5M" or 500000')
    return number


def parse_size(text: str) -> int:
    """Return the bytes of a size such as ``64MiB``, ``1.5 GB`` or ``4096``; ValueError for anything else."""
    found = _SIZE.fullmatch(text)
    if found is None or (found[3] and not found[2]):
        raise ValueError(f'{text!r} is not a size; write it as "64MiB", "1.5GB" or "4096"')
    power = " kmgt".index(found[2].lower() or " ")
    unit: int = (1024 if found[3] else 1000) ** power
    return math.ceil(float(found[1]) * unit)


def dollars(amount: float) -> str:
    """Return US dollars as people read them; less than a cent is not shown as nothing."""
    return f"{amount:.4f}" if 0 < amount < CENT else f"{amount:.2f}"
