"""State of the whole project: whether it is halted, and which tasks are in play."""

from __future__ import annotations

from msgspec import Struct


class Halt(Struct, frozen=True, omit_defaults=True):
    """State ``halt.json``: a person is needed; ``dispatch`` clears it."""

    why: str
    detail: str
    at: float


class Scope(Struct, frozen=True, omit_defaults=True):
    """State ``scope.json``: what ``dispatch`` put in play, and when."""

    at: float
    everything: bool = False
    ids: tuple[str, ...] = ()
    out: tuple[str, ...] = ()
    """Ids that ``stop`` took out of play."""
    forced: bool = False
    """Failing checks of the baseline were accepted."""
    phases: tuple[str, ...] = ()
    """Profiles whose rows are in play, including rows that are planned later."""
