"""One task: its row in the table, its status, and the attempts of its round."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field

from agentjobs.model.facts import Attempt, Over


class Status(StrEnum):
    """The ``status`` column."""

    TODO = "TODO"
    IN_PROGRESS = "IN_PROGRESS"
    VERIFYING = "VERIFYING"
    REVIEWING = "REVIEWING"
    LANDING = "LANDING"
    DONE = "DONE"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


SETTLED = frozenset({Status.DONE, Status.FAILED, Status.SKIPPED})
"""Statuses of tasks that are finished."""


class Row(Struct, frozen=True):
    """One task as tasks.tsv has it. ``cells`` has every column by name, unescaped."""

    id: str
    line: int
    status: Status
    after: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    profile: str = "default"
    priority: float = 0.0
    cells: dict[str, str] = field(default_factory=dict)


class Settled(Struct, frozen=True, omit_defaults=True):
    """Fact ``attempts/<id>/settled-<round>.json``: how a round ended; it never changes."""

    round: int
    status: Status
    note: str
    at: float
    commit: str = ""
    tree: str = ""
    """Git tree id of the task's files at that time, if the work did not land."""


BY_HAND = "accepted by hand"
"""Note of a round that ended because a person wrote DONE into the table."""


class Task(Struct, frozen=True):
    """Input of ``decide``: a row and the facts of its open round."""

    row: Row
    round: int = 1
    attempts: tuple[Attempt, ...] = ()
    earlier: int = 0
    """How many attempts the earlier rounds had."""
    wish: Status | None = None
    """A person's request that is not carried out yet: TODO (a new round), SKIPPED, DONE, FAILED."""
    in_play: bool = True
    """False after ``stop``: running steps are stopped and nothing new starts."""
    void: tuple[str, ...] = ()
    """Marks of attempts of the round that were started but have no readable facts: they were deleted or damaged."""

    @property
    def last(self) -> Attempt | None:
        """The newest attempt of the round."""
        return self.attempts[-1] if self.attempts else None

    @property
    def open(self) -> Attempt | None:
        """The newest attempt of the round, if it is not over."""
        return None if isinstance(self.last, Over) else self.last

    @property
    def over(self) -> tuple[Over, ...]:
        """The attempts of the round that are over, oldest first."""
        return tuple(attempt for attempt in self.attempts if isinstance(attempt, Over))
