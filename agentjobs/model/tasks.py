"""One task: its row in the table, its status, and the attempts of its round."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field

from agentjobs.model.facts import Attempt


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
"""What a task is when nothing more will be done for it."""


class Row(Struct, frozen=True):
    """One task as the table gives it. ``cells`` holds every column by name, unescaped."""

    id: str
    line: int
    status: Status
    after: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    profile: str = "default"
    priority: float = 0.0
    cells: dict[str, str] = field(default_factory=dict)


class Settled(Struct, frozen=True, omit_defaults=True):
    """Fact ``attempts/<id>/settled-<round>.json``: a round's end, for ever."""

    round: int
    status: Status
    note: str
    at: float
    commit: str = ""
    tree: str = ""
    """What the task's tree held then, as git names it, where the work has not landed."""


BY_HAND = "accepted by hand"
"""Note of a round that ended because somebody wrote DONE into the table."""


class Task(Struct, frozen=True):
    """What ``decide`` looks at: a row, and the facts of its unsettled round."""

    row: Row
    round: int = 1
    attempts: tuple[Attempt, ...] = ()
    earlier: int = 0
    """How many attempts earlier rounds took."""
    wish: Status | None = None
    """What a person asked for and is not done yet: TODO (a new round), SKIPPED, DONE, FAILED."""
    in_play: bool = True
    """``stop`` takes a task out of play: what runs is ended, nothing is begun."""
    void: tuple[str, ...] = ()
    """Marks of attempts of the round that were started and have no facts any more: somebody deleted or spoilt them."""

    @property
    def last(self) -> Attempt | None:
        """The newest attempt of the round."""
        return self.attempts[-1] if self.attempts else None
