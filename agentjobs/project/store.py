"""What is on disk: the lock, the facts of attempts, the run's state, the table as last written.

A fact is a file written once, by rename, and never changed; what is unreadable or empty (a full disk, a power
cut) counts as not there. State files (``scope.json``, ``pauses.json``, ``halt.json``, ``active/<id>``) are
replaced whole. Only who holds the lock writes.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from agentjobs.core.pauses import Pause
from agentjobs.disk.files import read_json, read_raw, write_bytes, write_json
from agentjobs.disk.plain_files import is_directory, is_plain, names_in, put_aside
from agentjobs.disk.write import encode, make_room, remove
from agentjobs.launch.local import StepFiles
from agentjobs.model.decisions import RUN
from agentjobs.model.errors import LockBusy, UserError
from agentjobs.model.facts import AgentEnd, Attempt, Intent, Json, Result
from agentjobs.model.outcomes import Outcome
from agentjobs.model.state import Halt, Scope
from agentjobs.model.steps import StepKind
from agentjobs.model.tasks import Settled, Status
from agentjobs.project.facts import read_steps
from agentjobs.project.home import settle_in, tree_here
from agentjobs.text.tsv import is_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agentjobs.model.spending import Spending
    from agentjobs.project.looks import Lookout
    from agentjobs.text.masking import Masking

HANDOFF = "handoff"
"""The directory, in that of an attempt, where a confined agent leaves its handoff: a file it may replace by rename."""

LAYOUT = "1"
"""Version of the layout of ``.agentjobs``, in the file VERSION."""

README = """\
This directory belongs to agentjobs: the facts behind tasks.tsv. Every file under attempts/ was written once
and says what happened; deleting this directory forgets all of it. `agentjobs show ID` reads it for you.
"""

_NUMBER = re.compile(r"(?!000)[0-9]{3}|[1-9][0-9]{3,8}")
"""The name of an attempt's directory."""


class Marker(msgspec.Struct, frozen=True, omit_defaults=True):
    """State ``active/<id>``: the round that is open, and what a person asked for since."""

    round: int
    wish: Status | None = None
    note: str = ""
    """What the person said with the wish."""
    begun: tuple[str, ...] = ()
    """The ``AGENTJOBS_MARK`` of each attempt of the round that was started: known although its facts may be deleted."""
    told: int = 0
    """The number of an attempt of it that is in the table and has no facts any more."""


class Store:
    """The directory ``.agentjobs`` of one project. ``masking`` says what is secret, once something is written."""

    def __init__(self, root: Path, masking: Callable[[], Masking] | None = None) -> None:
        self.root = root
        self._masking = masking
        self.dir = root / ".agentjobs"
        self._attempts = str(self.dir / "attempts")
        self._active = str(self.dir / "active")
        self._closed: dict[tuple[str, int], Attempt] = {}
        self._intents: dict[tuple[str, int], Intent] = {}
        self._dirs: dict[tuple[str, int], Path] = {}
        self._events: int | None = None
        self.lookout: Lookout | None = None
        """Set by the engine, which decides by how long steps have run."""

    # --- the directory and its lock

    def exists(self) -> bool:
        """Whether anything was ever dispatched here."""
        return os.path.lexists(self.dir / "VERSION") or self.scope() is not None

    def create(self) -> None:
        """Make the directory, or check that this version can work in it; UserError where it cannot."""
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
        self.dir.chmod(0o700)  # somebody may have made it
        settle_in(self.dir)
        self._make_directories()
        write_bytes(self.dir / "README", README.encode())
        write_bytes(version, LAYOUT.encode() + b"\n", durable=True)

    def _make_directories(self) -> None:
        for name in ("attempts", "active", "trees", "tally", "baseline"):
            self._directory(name)

    def _directory(self, name: str) -> Path:
        """Return a directory of ours, made where it is missing; what an agent put in its place is put aside."""
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
        """Return the directory where counts of tokens are remembered; None where it cannot be made."""
        if not self.dir.is_dir():
            try:
                self._make()
            except OSError:
                return None
        return self.dir / "counts"

    @contextlib.contextmanager
    def lock(self, timeout_s: float) -> Iterator[None]:
        """Hold the project's lock; LockBusy when it is not free within ``timeout_s`` (0: at once).

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
                f"another agentjobs is at work here (waited {timeout_s:g} s for .agentjobs/lock)"
            ) from None

    # --- state

    def scope(self) -> Scope | None:
        """Return what ``dispatch`` put in play, or None before the first one. It is kept twice: nothing else knows."""
        return read_json(self.dir / "scope.json", Scope) or read_json(self.dir / "scope.kept.json", Scope)

    def pauses(self) -> dict[str, Pause]:
        """Return the pause of each account that has one; ``RUN`` is all of them.

        Before there were accounts a pause was one of the whole run, in ``pause.json``.
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
            write_json(path, self._told(pauses), durable=True)
        remove(self.dir / "pause.json")  # not before its pause is in the other file
        if not pauses:
            remove(path)

    def hold(self) -> Pause | None:
        """Return until when finished work waits, because it could be neither checked nor landed."""
        return read_json(self.dir / "hold.json", Pause)

    def halt(self) -> Halt | None:
        """Return why a person is needed."""
        return read_json(self.dir / "halt.json", Halt)

    def set_state(self, name: Literal["scope", "hold", "halt"], value: Scope | Pause | Halt | None) -> None:
        """Replace, or with None remove, a state file."""
        path = self.dir / f"{name}.json"
        if value is None:
            remove(path)
        else:
            write_json(path, self._told(value), durable=True)
            if name == "scope":
                write_json(self.dir / "scope.kept.json", self._told(value), durable=True)

    def active(self) -> list[str]:
        """Return the ids with an open round."""
        names = sorted(name for name in names_in(self._active) if is_id(name))
        return [name for name in names if os.path.isfile(f"{self._active}/{name}")]  # noqa: PTH113 - costs less

    def is_active(self, task_id: str) -> bool:
        """Whether a task has an open round."""
        return os.path.exists(f"{self._active}/{task_id}")  # noqa: PTH110 - a Path costs more than the look

    def marker(self, task_id: str) -> Marker | None:
        """Return the open round of a task."""
        try:
            return read_json(f"{self._active}/{task_id}", Marker)
        except OSError:
            return None

    def set_marker(self, task_id: str, marker: Marker | None) -> None:
        """Open or close a round."""
        path = self.dir / "active" / task_id
        if marker is None:
            remove(path)
        else:
            write_json(path, marker)

    # --- attempts

    def attempt_dir(self, task_id: str, number: int) -> Path:
        """Return the directory of an attempt."""
        key = (task_id, number)
        if key not in self._dirs:
            self._dirs[key] = Path(f"{self._attempts}/{task_id}/{number:03d}")
        return self._dirs[key]

    def names(self, task_id: str) -> list[str]:
        """Return what the directory of a task's attempts holds; nothing where it cannot be read."""
        return names_in(f"{self._attempts}/{task_id}")

    def numbers(self, task_id: str, names: list[str] | None = None) -> list[int]:
        """Return the numbers of all claimed attempts of a task, in order; ``names`` saves a look."""
        found = self.names(task_id) if names is None else names
        return sorted(int(name) for name in found if _NUMBER.fullmatch(name))

    def started_ids(self) -> frozenset[str]:
        """Return every id that ever had an attempt or a settled round."""
        return frozenset(names_in(self._attempts))

    def claim(self, task_id: str, used: int = 0) -> int:
        """Take the next attempt number of a task, for ever. ``used``: one that was taken; its facts may be gone."""
        number = max([used, *self.numbers(task_id)])
        path = self.attempt_dir(task_id, number)
        if os.path.lexists(path.parent) and not is_directory(path.parent):
            put_aside(path.parent, "~")  # an agent may have put a link there
            number = used
        if number > used and is_directory(path) and all(name.endswith("~") for name in names_in(path)):
            return number  # claimed by a poll that was killed before it wrote the intent: nothing was started
        number += 1
        path = self.attempt_dir(task_id, number)
        try:
            path.mkdir(mode=0o700)
        except OSError:
            make_room(path)
            path.mkdir(mode=0o700)
        return number

    def attempts(self, task_id: str, names: list[str] | None = None) -> list[Attempt]:
        """Return all attempts of a task; a claimed directory without an intent is void."""
        found = (self.attempt(task_id, number) for number in self.numbers(task_id, names))
        return [attempt for attempt in found if attempt is not None]

    def attempt(self, task_id: str, number: int) -> Attempt | None:
        """Return the facts of one attempt; an attempt that is over is read once and kept.

        None where there are none that can be read: it was only claimed, or somebody deleted or spoilt them.
        """
        key = (task_id, number)
        if key in self._closed:
            return self._closed[key]
        try:
            return self._read_attempt(key)
        except OSError:
            self._intents.pop(key, None)
            return None

    def _read_attempt(self, key: tuple[str, int]) -> Attempt | None:
        task_id, number = key
        path = f"{self._attempts}/{task_id}/{number:03d}"
        if not is_directory(path) or not is_directory(os.path.dirname(path)):
            return None  # a link would lead what we write to some other place
        intent = self._intents.get(key) or read_json(f"{path}/attempt.json", Intent)
        if intent is None:
            return None
        self._intents[key] = intent = replace(intent, tree=tree_here(self.root, intent.tree))
        present = names_in(path)
        result = read_json(f"{path}/result.json", Result) if "result.json" in present else None
        if result is not None and result.outcome is Outcome.CRASHED and self._is_excused(task_id, number):
            result = replace(result, outcome=Outcome.UNREACHABLE)
        end = read_json(f"{path}/agent.end.json", AgentEnd) if "agent.end.json" in present else None
        steps = read_steps(path, present)
        if self.lookout is not None and result is None:
            look, where = self.lookout.corrected, Path(path)
            steps = [look(f"{task_id}/{number}/{step.name}", step, StepFiles(where, step.name)) for step in steps]
        attempt = Attempt(intent, tuple(steps), end, result, "approved" in present)
        if result is not None:
            self._closed[key] = attempt
            del self._intents[key]
        return attempt

    def write_fact(self, task_id: str, number: int, name: str, fact: msgspec.Struct) -> None:
        """Write a fact of an attempt; one that is already there stays as it is.

        Not flushed to the disk: after a power cut an attempt whose last facts are gone is lost, as its agent is.
        What must survive one is the state, and the table with the rounds it tells of.
        """
        path = self.attempt_dir(task_id, number) / name
        if read_json(path, type(fact)) is not None:
            return
        try:
            write_json(path, self._told(fact))
        except UserError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise  # else its agent has just deleted the attempt: the next look finds none

    # --- settled rounds

    def settled(self, task_id: str) -> list[Settled]:
        """Return the settled rounds of a task, oldest first."""
        found = (
            read_json(f"{self._attempts}/{task_id}/{name}", Settled)
            for name in self.names(task_id)
            if name.startswith("settled-") and name.endswith(".json")
        )
        return sorted((s for s in found if s is not None), key=lambda s: s.round)

    def settled_round(self, task_id: str, number: int) -> Settled | None:
        """Return how one round ended, if it has."""
        return read_json(f"{self._attempts}/{task_id}/settled-{number}.json", Settled)

    def settle(self, task_id: str, settled: Settled) -> None:
        """Write down the end of a round. Not flushed: the table that tells of it is, before the round is closed."""
        path = self.dir / "attempts" / task_id / f"settled-{settled.round}.json"
        if read_raw(path):
            return
        if path.parent.is_symlink():
            put_aside(path.parent, "~")  # what it leads to is not ours
        make_room(path)  # a row may be settled without an attempt
        write_json(path, self._told(settled))

    # --- the breaker's tally

    def tally(self) -> tuple[tuple[str, str], ...]:
        """Return the first results of distinct tasks since the last ``dispatch``, as (class, signature)."""
        entries = []
        for name in names_in(f"{self.dir}/tally"):
            path = f"{self.dir}/tally/{name}"
            with contextlib.suppress(OSError):
                words = read_raw(path).decode("ascii", "replace").split() if is_id(name) else []
                if len(words) == 2:  # noqa: PLR2004
                    entries.append((os.stat(path).st_mtime, words[0], words[1]))  # noqa: PTH116 - as everywhere here
        return tuple((cls, sig) for _, cls, sig in sorted(entries))

    def count(self, task_id: str, cls: str, signature: str) -> None:
        """Note the first result of a task, for the breaker."""
        path = self.dir / "tally" / task_id
        if not path.exists():
            write_bytes(path, f"{cls} {signature or '-'}\n".encode())

    def count_unspent(self, task_id: str, number: int) -> None:
        """Note an attempt that does not count, for the budget of attempts."""
        (self._directory("unspent") / f"{task_id}.{number}").touch(mode=0o600)

    def count_open(self, task_id: str, run: str, spent: Spending) -> None:
        """Note what requests used at most that were open when an agent was killed; ``run``: its attempt, or review."""
        if spent.tokens:
            path = self._directory("open") / f"{task_id}.{run}"
            write_bytes(path, f"{spent.tokens} {spent.cost or 0.0:.6f}\n".encode())

    def open_requests(self) -> tuple[float, int]:
        """Return the sums of that, in dollars and tokens."""
        cost, tokens = 0.0, 0
        for name in names_in(f"{self.dir}/open"):
            with contextlib.suppress(OSError, ValueError):
                words = read_raw(f"{self.dir}/open/{name}").split() if is_id(name) else []
                cost, tokens = cost + float(words[1]), tokens + int(words[0])
        return cost, tokens

    def excuse(self, task_id: str, number: int) -> None:
        """Note that an attempt failed for its account's trouble, as turned out later: it does not count."""
        self.count_unspent(task_id, number)
        self._closed.pop((task_id, number), None)

    def _is_excused(self, task_id: str, number: int) -> bool:
        return os.path.exists(f"{self.dir}/unspent/{task_id}.{number}")  # noqa: PTH110 - a Path costs more than the look

    def unspent(self) -> int:
        """Return how many attempts did not count: a limit, a lost login, a stop."""
        return sum(is_id(name) for name in names_in(f"{self.dir}/unspent"))

    def clear_tally(self) -> None:
        """Arm the breaker anew."""
        for name in names_in(f"{self.dir}/tally"):
            remove(self.dir / "tally" / name)

    # --- events

    def event(self, at: float, task_id: str, what: str, **more: object) -> None:
        """Append one line to ``events.jsonl``: for people and reports, never read to decide."""
        record: Json = {"at": round(at, 3), "id": task_id, "event": what, **more}
        if self._events is None:
            path = self.dir / "events.jsonl"
            if os.path.lexists(path) and not is_plain(path):
                put_aside(path)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._events = os.open(path, flags, 0o600)
        os.write(self._events, encode(self._told(record)) + b"\n")

    def _told(self, value: object) -> object:
        """Return a value to be written, with no secret in what programs said."""
        masking = self._masking() if self._masking is not None else None
        return masking.told(msgspec.to_builtins(value)) if masking else value


def own_dir(attempt_dir: Path, step: str = "agent") -> Path:
    """Return the directory that ``{dir}`` is for the agent of a step.

    A task keeps one over all its attempts; each run of a reviewer has one of its own, with its verdict in it.
    """
    return attempt_dir / step if step.startswith(StepKind.REVIEW.value) else attempt_dir.parent / "own"


def step_files(attempt_dir: Path, name: str) -> StepFiles:
    """Return where the facts of a step are."""
    return StepFiles(attempt_dir, name)
