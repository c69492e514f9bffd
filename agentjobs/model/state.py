"""State of the whole project: whether it is halted, and which tasks are in play."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - a field of a type that is decoded
from typing import Annotated

from msgspec import Meta, Struct


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


class Paused(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """State ``paused``, which people and scripts may write: no agent starts while the file exists.

    An empty file is a pause without an end.
    """

    until: Annotated[datetime, Meta(tz=True)] | None = None
    why: str = ""
    by: str = ""
    """The name of the person; if empty, the owner of the file."""
    at: float = 0.0
    """When; 0: when the file was written."""

    @property
    def ends_at(self) -> float:
        """Seconds since the epoch; infinity for a pause without an end."""
        return float("inf") if self.until is None else self.until.timestamp()
