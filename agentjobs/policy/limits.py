"""Limits, budgets and retries: ``[limits]`` and ``[retry]`` of agentjobs.toml. Pure."""

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
    """Limits for one step, one task and the whole run. A budget that is not set does not apply."""

    attempt_minutes: Positive = 30.0
    """Wall clock of one agent step; then the attempt is killed as `timeout`."""
    idle_minutes: Positive = 10.0
    """An agent that writes no output for this long is killed as `stalled`."""
    verify_minutes: Positive = 15.0
    """Wall clock of one check, of one gate run, and of the `plan` of a phase."""
    setup_minutes: Positive = 15.0
    """Wall clock of the `setup` command of a workspace."""
    start_interval_s: Amount = 0.5
    """Seconds between the start of one agent and the next."""
    stop_grace_s: Amount = 10.0
    """Seconds between one stop signal and the next, and before `KILL`."""
    finish_grace_s: Amount = 30.0
    """Seconds an agent may go on running after its final event."""
    min_free_memory: str = "1GiB"
    """Start nothing while less memory than this is free."""
    output: str = "64MiB"
    """An agent is killed as `runaway` if its log grows beyond this."""
    file_size: str = "1GiB"
    """Hard limit for any one file that an agent or a check writes."""
    breaker: Count = 5
    """Stop the run if the first this many attempts all fail the same way. Later in a run: stop an account whose agent
    does not report its tokens if this many new tasks in a row fail the same way in their first minute. 0 turns both
    off."""
    unreachable_minutes: Amount = 15.0
    """How long an account is tried again, with growing pauses, if its service cannot be reached; then a person must
    act. 15 means four attempts; use more for a run at night."""
    limit_hours: Amount | None = None
    """How long to wait for the end of a usage limit, from the moment it was hit; a limit that ends later stops the
    account, and a person must act. 0: stop always. Unset: wait as long as it takes."""
    run_attempts: Several | None = None
    """Attempts of the whole run."""
    run_tokens: Several | None = None
    """Tokens of the whole run."""
    run_cost_usd: Positive | None = None
    """Money of the whole run, US dollars."""
    tokens_in_flight: str | Several | None = None
    """Context of all running agents together, as in `"500k"`: an attempt starts only if what they hold and what it is
    expected to hold (its prompt, the files and documents its row names) stay below this. A task that is larger alone
    runs alone; while a row waits for this, the rows after it wait, too. No running agent is killed for it."""
    task_attempts: Several | None = None
    """Attempts of one task over all its rounds."""
    task_cost_usd: Positive | None = None
    """Money of one task, US dollars; a running agent that is known to have used it up is killed as `runaway`."""
    unknown_cost: Literal["refuse", "allow"] = "refuse"
    """What `run_cost_usd` and `task_cost_usd` do if a cost is not known. `refuse`: `check` and `dispatch` refuse an
    agent that reports no cost and whose model has no price, and the run stops after an attempt with unknown cost.
    `allow`: the budgets count what is known."""
    hard_cap: Annotated[float, Meta(ge=1)] = 1.25
    """Running agents are killed, and resumed once there is more budget, if `run_tokens` or `run_cost_usd` is exceeded
    by this factor."""
    same_errors: Count = 20
    """An agent that reports the same error this many times in a row is killed as `runaway`; 0: never."""
    idle_requests: Count = 300
    """An agent whose model has answered this many times without any change in its tree is killed as `runaway`; 0:
    never."""
    handoff_minutes: Amount = 5.0
    """Wall clock of the turn in which an agent that was stopped for its full context writes a handoff; 0: it is
    not asked for one.
    """

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
        """The key of a money budget that must be enforced; empty if there is none."""
        budgets = (key for key in ("run_cost_usd", "task_cost_usd") if getattr(self, key) is not None)
        return next(budgets, "") if self.unknown_cost == "refuse" else ""

    @property
    def flight_tokens(self) -> int | None:
        """``tokens_in_flight`` as a number; None if not set."""
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
        """``limit_hours`` in seconds; infinity if not set."""
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
        """Return why nothing may start with ``free`` bytes of memory; empty if it may."""
        gib, wanted = 1 << 30, self.min_free_memory_bytes
        if free >= wanted:
            return ""
        least = f"{wanted / gib:.1f} GiB (limits.min_free_memory)"
        return f"{free / gib:.1f} GiB of memory are free, and nothing starts below {least}"


class Retry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often to retry, and when starting over pays."""

    resumes: Count = 2
    """Layer 1, per round: continue the same conversation after a crash or a timeout."""
    repairs: Count = 3
    """Layer 2, per round: a fresh conversation in the same tree, with the errors."""
    restarts: Count = 1
    """Layer 3, per round: start over from a clean tree, after all other tasks have settled."""
    diagnose_above: Share = 0.10
    """If more than this share of the tasks failed, layer 3 does not run: the prompt needs work first."""
    task_value_usd: Amount = 5.0
    """The value of one finished task; layer 3 runs only if it is likely to pay."""


def parse_tokens(text: str) -> int:
    """Return a number of tokens such as ``500k``, ``1.5M`` or ``60000``, at least 1; ValueError for anything else."""
    found = _TOKENS.fullmatch(text)
    number = math.floor(float(found[1]) * 1000 ** " km".index(found[2].lower() or " ")) if found else 0
    if number < 1:
        raise ValueError(f'{text!r} is not a number of tokens (examples: "500k", "1.5M", 500000)')
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
    """Return US dollars as people read them; an amount below a cent is not shown as 0."""
    return f"{amount:.4f}" if 0 < amount < CENT else f"{amount:.2f}"
