"""The directory ``.agentjobs``: its lock, and the state files, which are replaced as a whole."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Literal

import msgspec

from agentjobs.core.pauses import Pause
from agentjobs.disk.files import read_json, read_raw, write_bytes, write_json
from agentjobs.disk.plain_files import is_plain, names_in, put_aside
from agentjobs.disk.write import remove
from agentjobs.model.decisions import RUN
from agentjobs.model.errors import LockBusy, UserError
from agentjobs.model.state import Halt, Scope
from agentjobs.model.tasks import Status  # noqa: TC001 - a field of a type that is decoded
from agentjobs.project.attempt_counts import Tally
from agentjobs.project.copied_project import settle_in
from agentjobs.project.paused import PAUSED, read_paused
from agentjobs.text.tsv import is_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from agentjobs.model.state import Paused
    from agentjobs.text.masking import Masking

LAYOUT = "1"
"""Version of the layout of ``.agentjobs``, in the file VERSION."""

SLOTS = "slots"
DIGITS_MAX = 6
"""More are a mistake."""

README = """\
This directory belongs to agentjobs: the facts behind tasks.tsv. Every file under attempts/ was written once
and records what happened; deleting this directory loses all of it. Read it with `agentjobs show ID`.
"""


class OpenRound(msgspec.Struct, frozen=True, omit_defaults=True):
    """State ``active/<id>``: the open round, and what a person asked for since."""

    round: int
    wish: Status | None = None
    note: str = ""
    """The note that the person gave with the wish."""
    begun: tuple[str, ...] = ()
    """The ``AGENTJOBS_MARK`` of each attempt of the round that was started: still known if its facts are deleted."""
    told: int = 0
    """The number of an attempt of this round that is in the table but has no facts any more."""


class State:
    """The directory ``.agentjobs`` of one project, its lock and its state files.

    ``masking`` is called at the first write and returns the secrets to mask.
    """

    def __init__(self, root: Path, masking: Callable[[], Masking] | None = None) -> None:
        self.root = root
        self._masking = masking
        self.dir = root / ".agentjobs"
        self._active = str(self.dir / "active")
        self.tally = Tally(self.dir, self._directory)

    def exists(self) -> bool:
        """Return whether anything was ever dispatched here."""
        return os.path.lexists(self.dir / "VERSION") or self.scope() is not None

    def create(self) -> None:
        """Make the directory, or check that this version can use it. UserError if it cannot."""
        version = self.dir / "VERSION"
        if is_plain(version):
            found = read_raw(version).decode("ascii", "replace").strip()
            if found != LAYOUT:
                raise UserError(
                    f"layout {found!r} was written by another version of agentjobs (this one: {LAYOUT!r})",
                    file=".agentjobs/VERSION",
                )
            settle_in(self.dir)
            return
        self._make()
        self.dir.chmod(0o700)  # it may have been made with another mode
        settle_in(self.dir)
        self._make_directories()
        write_bytes(self.dir / "README", README.encode())
        write_bytes(version, LAYOUT.encode() + b"\n", durable=True)

    def _make_directories(self) -> None:
        for name in ("attempts", "active", "trees", "tally", "baseline"):
            self._directory(name)

    def _directory(self, name: str) -> Path:
        """Return one of our directories, made if it is missing; anything else in its place is renamed."""
        path = self.dir / name
        if not path.is_dir():
            if os.path.lexists(path):
                put_aside(path)
            path.mkdir(mode=0o700, exist_ok=True)
        return path

    def _make(self) -> None:
        self.dir.mkdir(mode=0o700, exist_ok=True)
        if not (self.dir / ".gitignore").exists():
            write_bytes(self.dir / ".gitignore", b"*\n")

    def memory(self) -> Path | None:
        """Return the directory with remembered token counts; None if it cannot be made."""
        if not self.dir.is_dir():
            try:
                self._make()
            except OSError:
                return None
        return self.dir / "counts"

    @contextlib.contextmanager
    def lock(self, timeout_s: float) -> Iterator[None]:
        """Hold the project's lock. LockBusy if it is not free within ``timeout_s`` seconds (0: at once).

        Nothing is written without it. UserError in a copy of a project (see ``home``).
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.dir / "lock", timeout=timeout_s, mode=0o600)
        try:
            with lock.acquire(poll_interval=0.02):
                settle_in(self.dir)
                self._make_directories()  # `git clean` may have removed some of them
                yield
        except Timeout:
            raise LockBusy(
                f"another agentjobs process works here (waited {timeout_s:g} s for .agentjobs/lock); try again later"
            ) from None

    # --- state files

    def scope(self) -> Scope | None:
        """Return what ``dispatch`` put in play, or None before the first one.

        It is stored twice, because it cannot be derived from anything else.
        """
        return read_json(self.dir / "scope.json", Scope) or read_json(self.dir / "scope.kept.json", Scope)

    def pauses(self) -> dict[str, Pause]:
        """Return the pause of each account that has one; ``RUN`` is a pause of all of them.

        Old layouts have one pause of the whole run, in ``pause.json``.
        """
        found = read_json(self.dir / "pauses.json", dict[str, Pause])
        if found is None:
            old = read_json(self.dir / "pause.json", Pause)
            return {RUN: old} if old is not None else {}
        return found

    def set_pauses(self, pauses: Mapping[str, Pause]) -> None:
        """Replace all pauses; they survive a power cut."""
        path = self.dir / "pauses.json"
        if pauses:
            write_json(path, self.masked(pauses), durable=True)
        remove(self.dir / "pause.json")  # only after its pause is in the other file
        if not pauses:
            remove(path)

    def hold(self) -> Pause | None:
        """Return until when finished work waits because it could be neither checked nor landed."""
        return read_json(self.dir / "hold.json", Pause)

    def halt(self) -> Halt | None:
        """Return why a person is needed."""
        return read_json(self.dir / "halt.json", Halt)

    def paused(self, now: float) -> Paused | None:
        """Return the pause by a person, unless its end has passed. UserError if the file cannot be understood."""
        return read_paused(self.dir / PAUSED, now)

    def set_paused(self, paused: Paused | None) -> None:
        """Pause the run, or end the pause (None). Needs no lock: this file alone says it, and anybody may write it."""
        path = self.dir / PAUSED
        if paused is None:
            remove(path)
        else:
            write_json(path, self.masked(paused), durable=True)

    def slots(self) -> int | None:
        """Return how many agents may run at once, as `agentjobs slots` set it; None: agentjobs.toml decides."""
        path = self.dir / SLOTS
        text = read_raw(path).decode("utf-8", "replace").strip()
        if not text and not os.path.lexists(path):
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX and int(text)):
            cure = "`agentjobs slots N` or `agentjobs slots --default` replaces it"
            raise UserError(f"{text[:40]!r} is not a number of slots, 1 or more; {cure}", file=f".agentjobs/{SLOTS}")
        return int(text)

    def set_slots(self, slots: int | None) -> None:
        """Set how many agents may run at once; None: agentjobs.toml decides. Needs no lock, as ``set_paused``."""
        path = self.dir / SLOTS
        if slots is None:
            remove(path)
        else:
            write_bytes(path, f"{slots}\n".encode(), durable=True)

    def set_state(self, name: Literal["scope", "hold", "halt"], value: Scope | Pause | Halt | None) -> None:
        """Replace a state file, or remove it (None)."""
        path = self.dir / f"{name}.json"
        if value is None:
            remove(path)
        else:
            write_json(path, self.masked(value), durable=True)
            if name == "scope":
                write_json(self.dir / "scope.kept.json", self.masked(value), durable=True)

    def active(self) -> list[str]:
        """Return the ids with an open round."""
        names = sorted(name for name in names_in(self._active) if is_id(name))
        return [name for name in names if os.path.isfile(f"{self._active}/{name}")]  # noqa: PTH113 - costs less

    def is_active(self, task_id: str) -> bool:
        """Whether a task has an open round."""
        return os.path.exists(f"{self._active}/{task_id}")  # noqa: PTH110 - a Path costs more than the look

    def open_round(self, task_id: str) -> OpenRound | None:
        """Return the open round of a task, or None."""
        try:
            return read_json(f"{self._active}/{task_id}", OpenRound)
        except OSError:
            return None

    def set_open_round(self, task_id: str, open_round: OpenRound | None) -> None:
        """Open or close a round."""
        path = self.dir / "active" / task_id
        if open_round is None:
            remove(path)
        else:
            write_json(path, open_round)

    def masked(self, value: object) -> object:
        """Return a value to write, with the secrets in it masked."""
        masking = self._masking() if self._masking is not None else None
        return masking.mask_fields(msgspec.to_builtins(value)) if masking else value
