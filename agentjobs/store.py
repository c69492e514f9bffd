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
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from agentjobs.errors import LockBusy, UserError
from agentjobs.home import settle_in, tree_here
from agentjobs.launch.local import StepFiles, probe
from agentjobs.model import (
    AgentEnd,
    Attempt,
    Halt,
    Intent,
    Json,
    Kill,
    Pause,
    Prepare,
    Prepared,
    Result,
    Scope,
    Settled,
    Status,
    Step,
    StepKind,
)  # fmt: skip
from agentjobs.pauses import RUN
from agentjobs.reviewfacts import ReviewEnd, ReviewPlan
from agentjobs.writing import encode, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agentjobs.masking import Masking

LAYOUT = "1"
"""Version of the layout of ``.agentjobs``, in the file VERSION."""

README = """\
This directory belongs to agentjobs: the facts behind tasks.tsv. Every file under attempts/ was written once
and says what happened; deleting this directory forgets all of it. `agentjobs show ID` reads it for you.
"""

_STEP = re.compile(r"(setup|agent|verify|review|gate|plan)(-\d+)?\.(?:lock|(?:plan\.|exit\.)?json)")
T = TypeVar("T")


class Marker(msgspec.Struct, frozen=True, omit_defaults=True):
    """State ``active/<id>``: the round that is open, and what a person asked for since."""

    round: int
    wish: Status | None = None
    note: str = ""
    """What the person said with the wish."""
    told: int = 0
    """The number of an attempt of it that the table tells of, and no fact any more."""


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

    # --- the directory and its lock

    def exists(self) -> bool:
        """Whether anything was ever dispatched here."""
        return (self.dir / "VERSION").exists()

    def create(self) -> None:
        """Make the directory, or check that this version can work in it; UserError where it cannot."""
        version = self.dir / "VERSION"
        if version.exists():
            found = version.read_text().strip()
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
            (self.dir / name).mkdir(mode=0o700, exist_ok=True)

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
        from filelock import FileLock, Timeout  # noqa: PLC0415

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
        """Return what ``dispatch`` put in play, or None before the first one."""
        return read_json(self.dir / "scope.json", Scope)

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
        (self.dir / "pause.json").unlink(missing_ok=True)  # not before its pause is in the other file
        if not pauses:
            path.unlink(missing_ok=True)

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
            path.unlink(missing_ok=True)
        else:
            write_json(path, self._told(value), durable=True)

    def active(self) -> list[str]:
        """Return the ids with an open round."""
        try:
            return sorted(name for name in os.listdir(self._active) if not name.endswith("~"))
        except FileNotFoundError:
            return []

    def is_active(self, task_id: str) -> bool:
        """Whether a task has an open round."""
        return os.path.exists(f"{self._active}/{task_id}")  # noqa: PTH110 - a Path costs more than the look

    def marker(self, task_id: str) -> Marker | None:
        """Return the open round of a task."""
        return read_json(f"{self._active}/{task_id}", Marker)

    def set_marker(self, task_id: str, marker: Marker | None) -> None:
        """Open or close a round."""
        path = self.dir / "active" / task_id
        if marker is None:
            path.unlink(missing_ok=True)
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
        """Return what the directory of a task's attempts holds."""
        try:
            return os.listdir(f"{self._attempts}/{task_id}")
        except FileNotFoundError:
            return []

    def numbers(self, task_id: str, names: list[str] | None = None) -> list[int]:
        """Return the numbers of all claimed attempts of a task, in order; ``names`` saves a look."""
        found = self.names(task_id) if names is None else names
        return sorted(int(name) for name in found if name.isdigit())

    def started_ids(self) -> frozenset[str]:
        """Return every id that ever had an attempt or a settled round."""
        try:
            return frozenset(os.listdir(self._attempts))
        except FileNotFoundError:
            return frozenset()

    def claim(self, task_id: str, used: int = 0) -> int:
        """Take the next attempt number of a task, for ever. ``used``: one that was taken; its facts may be gone."""
        number = (self.numbers(task_id) or [0])[-1]
        path = self.attempt_dir(task_id, number)
        if number > used and all(name.endswith("~") for name in os.listdir(path)):
            return number  # claimed by a poll that was killed before it wrote the intent: nothing was started
        number = max(number, used) + 1
        path = self.attempt_dir(task_id, number)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
        return number

    def attempts(self, task_id: str, names: list[str] | None = None) -> list[Attempt]:
        """Return all attempts of a task; a claimed directory without an intent is void."""
        found = (self.attempt(task_id, number) for number in self.numbers(task_id, names))
        return [attempt for attempt in found if attempt is not None]

    def attempt(self, task_id: str, number: int) -> Attempt | None:
        """Return the facts of one attempt; an attempt that is over is read once and kept."""
        key = (task_id, number)
        if key in self._closed:
            return self._closed[key]
        path = f"{self._attempts}/{task_id}/{number:03d}"
        intent = self._intents.get(key) or read_json(f"{path}/attempt.json", Intent)
        if intent is None:
            return None
        self._intents[key] = intent = replace(intent, tree=tree_here(self.root, intent.tree))
        present = os.listdir(path)
        result = read_json(f"{path}/result.json", Result) if "result.json" in present else None
        end = read_json(f"{path}/agent.end.json", AgentEnd) if "agent.end.json" in present else None
        attempt = Attempt(intent, tuple(_steps(path, present)), end, result, "approved" in present)
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
        write_json(path, self._told(fact))

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
        if not path.parent.is_dir():  # a row that is settled without an attempt
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(path, self._told(settled))

    # --- the breaker's tally

    def tally(self) -> tuple[tuple[str, str], ...]:
        """Return the first results of distinct tasks since the last ``dispatch``, as (class, signature)."""
        entries = []
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.dir / "tally"):
                words = read_raw(Path(entry.path)).decode().split()
                if len(words) == 2 and not entry.name.endswith("~"):  # noqa: PLR2004
                    entries.append((entry.stat().st_mtime, words[0], words[1]))
        return tuple((cls, sig) for _, cls, sig in sorted(entries))

    def count(self, task_id: str, cls: str, signature: str) -> None:
        """Note the first result of a task, for the breaker."""
        path = self.dir / "tally" / task_id
        if not path.exists():
            write_bytes(path, f"{cls} {signature or '-'}\n".encode())

    def count_unspent(self, task_id: str, number: int) -> None:
        """Note an attempt that does not count, for the budget of attempts."""
        (self.dir / "unspent").mkdir(mode=0o700, exist_ok=True)
        (self.dir / "unspent" / f"{task_id}.{number}").touch(mode=0o600)

    def unspent(self) -> int:
        """Return how many attempts did not count: a limit, a lost login, a stop."""
        try:
            return len(os.listdir(self.dir / "unspent"))
        except FileNotFoundError:
            return 0

    def clear_tally(self) -> None:
        """Arm the breaker anew."""
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.dir / "tally"):
                (self.dir / "tally" / name).unlink(missing_ok=True)

    # --- events

    def event(self, at: float, task_id: str, what: str, **more: object) -> None:
        """Append one line to ``events.jsonl``: for people and reports, never read to decide."""
        record: Json = {"at": round(at, 3), "id": task_id, "event": what, **more}
        if self._events is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._events = os.open(self.dir / "events.jsonl", flags, 0o600)
        os.write(self._events, encode(self._told(record)) + b"\n")

    def _told(self, value: object) -> object:
        """Return a value to be written, with no secret in what programs said."""
        masking = self._masking() if self._masking is not None else None
        return masking.told(msgspec.to_builtins(value)) if masking else value


CHECKS = frozenset({StepKind.VERIFY, StepKind.GATE})
_ORDER = {kind: place for place, kind in enumerate(StepKind)}


def _steps(path: str, present: list[str]) -> list[Step]:
    """Read the steps of an attempt from its directory, in the order in which they ran."""
    names = {f"{m[1]}{m[2] or ''}" for m in map(_STEP.fullmatch, present) if m}
    steps = []
    for name in names:
        files = StepFiles(Path(path), name)
        kind = StepKind(name.partition("-")[0])
        prepared = read_json(f"{path}/{name}.plan.json", Prepare) if kind in CHECKS else None
        review = read_json(f"{path}/{name}.plan.json", ReviewPlan) if kind is StepKind.REVIEW else None
        verdict = read_json(f"{path}/{name}.end.json", ReviewEnd) if review is not None else None
        phase = probe(files)
        started_at = 0.0
        if not isinstance(phase, Prepared):
            # A runner that has just begun holds the lock but may not have written its record yet.
            started_at = _mtime(f"{path}/{name}.json") or _mtime(f"{path}/{name}.lock")
        kill = read_json(f"{path}/{name}.kill.json", Kill) if f"{name}.kill.json" in present else None
        if kill is not None:
            sent = sum(other.startswith(f"{name}.kill-") for other in present)
            kill = Kill(kill.why, kill.at, 1 + sent, kill.detail)
        commit = prepared.commit if prepared else review.commit if review else ""
        steps.append(Step(name, kind, phase, started_at, kill, commit, review, verdict))
    return sorted(steps, key=lambda step: (_ORDER[step.kind], len(step.name), step.name))


def own_dir(attempt_dir: Path, step: str = "agent") -> Path:
    """Return the directory that ``{dir}`` is for the agent of a step.

    A task keeps one over all its attempts; each run of a reviewer has one of its own, with its verdict in it.
    """
    return attempt_dir / step if step.startswith(StepKind.REVIEW.value) else attempt_dir.parent / "own"


def step_files(attempt_dir: Path, name: str) -> StepFiles:
    """Return where the facts of a step are."""
    return StepFiles(attempt_dir, name)


# --- files ------------------------------------------------------------------------------------------------


def _mtime(path: str) -> float:
    try:
        return os.stat(path).st_mtime  # noqa: PTH116 - a Path costs more than the look
    except FileNotFoundError:
        return 0.0


def read_raw(path: Path | str) -> bytes:
    """Return the bytes of a file, or none where there is no file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    try:
        data = os.read(fd, 1 << 20)
        while chunk := os.read(fd, 1 << 20):
            data += chunk
        return data
    finally:
        os.close(fd)


def read_json(path: Path | str, kind: type[T]) -> T | None:
    """Return a fact, or None where there is none that can be read."""
    data = read_raw(path)
    if not data:
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError:
        return None


def write_json(path: Path, value: object, *, durable: bool = False) -> None:
    """Write a value as JSON, by rename; ``durable``: it must survive a power cut too."""
    write_bytes(path, encode(value) + b"\n", durable=durable)


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace a file by rename, mode 0600; nothing of it is seen before all of it is there."""
    try:
        replace_file(path, data, durable=durable)
    except OSError as error:
        raise UserError(f"cannot write: {error.strerror}", file=str(path)) from None
