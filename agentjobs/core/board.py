"""What ``schedule`` looks at in one pass, and what it comes to. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.core.budget import Spent
from agentjobs.core.start_over_pays import History

if TYPE_CHECKING:
    from agentjobs.core.pauses import Pause
    from agentjobs.model.decisions import Action
    from agentjobs.model.state import Halt
    from agentjobs.model.tasks import Task


class Board(Struct, frozen=True):
    """All that was read in one poll."""

    tasks: tuple[Task, ...] = ()
    """Every task with an unsettled round."""
    pauses: dict[str, Pause] = {}
    """Of each account that has one; of ``RUN`` for all of them."""
    hold: Pause | None = None
    """Nothing is checked or landed before its end."""
    halt: Halt | None = None
    paused_until: float = 0.0
    """A person has paused the run: no agent starts before this; infinity until the person ends it."""
    last_start_at: float = 0.0
    free_memory: int = 1 << 62
    """Bytes."""
    spent: Spent = Spent()
    tally: tuple[tuple[str, str], ...] = ()
    """First results of distinct tasks since the last ``dispatch``, as (class, signature)."""
    failed: int = 0
    """Rows in play that are FAILED."""
    total: int = 0
    """Rows in play that are settled or being worked on."""
    history: History = History()
    gating: bool = False
    """The gate runs for a batch."""
    asked: bool = False
    """What the last run of the gate said asks for another."""


class Schedule(Struct, frozen=True):
    """What to do now, and when to look again."""

    actions: tuple[Action, ...] = ()
    until: float = math.inf
    """Nothing is due before this, unless a step ends."""
    halt: Halt | None = None
    """Write this down: a person is needed."""
    alive: bool = False
    """Something runs, is due, or has a known time to wait for."""
    short: str = ""
    """Why nothing may begin although something could (a budget that is spent)."""
    waiting: bool = False
    """Something could begin, were there room."""
    gate: bool = False
    """The gate may be started for a batch."""
    batch: tuple[str, ...] = ()
    """Whose work is to go into it, unless one was asked for: verified, the longest waiting first."""


UNSERVED = "without having used a token"
"""How the detail of a halt ends if the agents of all tasks that failed crashed before a model answered."""
