"""What is true of the whole project: whether it is halted, and which tasks are in play."""

from __future__ import annotations

from msgspec import Struct


class Halt(Struct, frozen=True, omit_defaults=True):
    """State ``halt.json``: a person is needed; ``dispatch`` clears it."""

    why: str
    detail: str
    at: float


class Scope(Struct, frozen=True, omit_defaults=True):
    """State ``scope.json``: what ``dispatch`` put in play, and when it last spoke."""

    at: float
    everything: bool = False
    ids: tuple[str, ...] = ()
    out: tuple[str, ...] = ()
    """Ids that ``stop`` took out again."""
    forced: bool = False
    """A red baseline was accepted."""
    phases: tuple[str, ...] = ()
    """Profiles whose rows are in play, also those that are planned later."""
