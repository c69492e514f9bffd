"""Reads and writes the facts of attempts and rounds in ``.agentjobs``, and its events.

A fact is a file that is written once, by rename, and never changed; an unreadable or empty one (full disk, power cut)
counts as missing. State files (``scope.json``, ``pauses.json``, ``halt.json``, ``active/<id>``) are replaced as a
whole. Only the holder of the lock writes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.disk.files import read_json, read_raw, write_json
from agentjobs.disk.plain_files import is_directory, is_plain, names_in, put_aside
from agentjobs.disk.write import encode, make_room
from agentjobs.launch.step import StepFiles
from agentjobs.model.errors import UserError
from agentjobs.model.facts import AgentEnd, Attempt, Intent, Json, Result, attempt_of
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import StepKind
from agentjobs.model.tasks import Settled
from agentjobs.project.copied_project import tree_here
from agentjobs.project.read_steps import Directory
from agentjobs.project.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec

    from agentjobs.project.step_clocks import Lookout
    from agentjobs.text.masking import Masking

HANDOFF = "handoff"
"""Directory in that of an attempt where a sandboxed agent writes its handoff; it may replace the file by rename."""

_NUMBER = re.compile(r"(?!000)[0-9]{3}|[1-9][0-9]{3,8}")
"""The name of an attempt's directory."""


class Store(State):
    """The facts of attempts and rounds in ``.agentjobs``, and its state files."""

    def __init__(self, root: Path, masking: Callable[[], Masking] | None = None) -> None:
        super().__init__(root, masking)
        self._attempts = str(self.dir / "attempts")
        self._closed: dict[tuple[str, int], Attempt] = {}
        self._open: dict[tuple[str, int], Directory] = {}
        """Those of attempts that are not over."""
        self._dirs: dict[tuple[str, int], Path] = {}
        self._events: int | None = None
        self.swept: set[str] = set()
        """Markers and trees of which this turn knows that they have no process any more (see ``steps.start``)."""
        self.standing: dict[str, str] = {}
        """Trees of which this turn knows that they contain exactly this commit: nothing was started there since."""
        self.lookout: Lookout | None = None
        """Set by the engine, which needs to know how long steps have run."""

    # --- attempts

    def attempt_dir(self, task_id: str, number: int) -> Path:
        """Return the directory of an attempt."""
        key = (task_id, number)
        if key not in self._dirs:
            self._dirs[key] = Path(f"{self._attempts}/{task_id}/{number:03d}")
        return self._dirs[key]

    def names(self, task_id: str) -> list[str]:
        """Return the entries of the directory with a task's attempts; empty if it cannot be read."""
        return names_in(f"{self._attempts}/{task_id}")

    def numbers(self, task_id: str, names: list[str] | None = None) -> list[int]:
        """Return the numbers of all claimed attempts of a task, in order; pass ``names`` to save a directory read."""
        found = self.names(task_id) if names is None else names
        return sorted(int(name) for name in found if _NUMBER.fullmatch(name))

    def started_ids(self) -> frozenset[str]:
        """Return every id that ever had an attempt or a settled round."""
        return frozenset(names_in(self._attempts))

    def claim(self, task_id: str, used: int = 0) -> int:
        """Take the next attempt number of a task, for good.

        ``used``: the highest number known to be taken; its facts may be lost.
        """
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
        """Return all attempts of a task; a claimed directory without an intent is skipped."""
        found = (self.attempt(task_id, number) for number in self.numbers(task_id, names))
        return [attempt for attempt in found if attempt is not None]

    def attempt(self, task_id: str, number: int) -> Attempt | None:
        """Return the facts of one attempt; an attempt that is over is read once and cached.

        None if there are none that can be read: it was only claimed, or its facts were deleted or damaged.
        """
        key = (task_id, number)
        if key in self._closed:
            return self._closed[key]
        try:
            return self._read_attempt(key)
        except OSError:
            self._open.pop(key, None)
            return None

    def _read_attempt(self, key: tuple[str, int]) -> Attempt | None:
        task_id, number = key
        path = f"{self._attempts}/{task_id}/{number:03d}"
        if not is_directory(path) or not is_directory(os.path.dirname(path)):
            self._open.pop(key, None)
            return None  # through a link we would write somewhere else
        if (facts := self._open.get(key)) is None:
            facts = self._open[key] = Directory(path)
        present = names_in(path)
        intent = facts.read("attempt.json", Intent, present)
        if intent is None:
            return None
        if (tree := tree_here(self.root, intent.tree)) != intent.tree:
            intent = replace(intent, tree=tree)
        result = facts.read("result.json", Result, present)
        if result is not None and result.outcome is Outcome.CRASHED and self.tally.is_unspent(task_id, number):
            result = replace(result, outcome=Outcome.UNREACHABLE)
        end = facts.read("agent.end.json", AgentEnd, present)
        steps = facts.steps(present)
        if self.lookout is not None and result is None:
            look, where = self.lookout.corrected, Path(path)
            steps = [look(f"{task_id}/{number}/{step.name}", step, StepFiles(where, step.name)) for step in steps]
        attempt = attempt_of(intent, tuple(steps), end, result, approved="approved" in present)
        if result is not None:
            self._closed[key] = attempt
            del self._open[key]
        return attempt

    def write_fact(self, task_id: str, number: int, name: str, fact: msgspec.Struct) -> None:
        """Write a fact of an attempt; an existing one is not changed.

        Not flushed to the disk: after a power cut an attempt without its last facts is lost, as its agent is. Only
        the state and the table with its rounds have to survive a power cut.
        """
        path = self.attempt_dir(task_id, number) / name
        if read_json(path, type(fact)) is not None:
            return
        try:
            write_json(path, self.masked(fact))
        except UserError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise  # else its agent has just deleted the attempt; the next look will find none

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
        """Return how one round ended; None if it has not."""
        return read_json(f"{self._attempts}/{task_id}/settled-{number}.json", Settled)

    def settle(self, task_id: str, settled: Settled) -> None:
        """Write the end of a round. Not flushed: the table is flushed with it before the round is closed."""
        path = self.dir / "attempts" / task_id / f"settled-{settled.round}.json"
        if read_raw(path):
            return
        if path.parent.is_symlink():
            put_aside(path.parent, "~")  # the target of the link is not ours
        make_room(path)  # a row may be settled without an attempt
        write_json(path, self.masked(settled))

    def excuse(self, task_id: str, number: int) -> None:
        """Note that an attempt failed because of its account, as found out later: it does not count."""
        self.tally.count_unspent(task_id, number)
        self._closed.pop((task_id, number), None)

    # --- events

    def event(self, at: float, task_id: str, what: str, **more: object) -> None:
        """Append one line to ``events.jsonl``: for people and reports, never read for a decision."""
        record: Json = {"at": round(at, 3), "id": task_id, "event": what, **more}
        if self._events is None:
            path = self.dir / "events.jsonl"
            if os.path.lexists(path) and not is_plain(path):
                put_aside(path)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._events = os.open(path, flags, 0o600)
        os.write(self._events, encode(self.masked(record)) + b"\n")


def own_dir(attempt_dir: Path, step: str = "agent") -> Path:
    """Return the directory that ``{dir}`` is for the agent of a step.

    A task has one for all its attempts; each run of a reviewer has its own, which contains its verdict.
    """
    return attempt_dir / step if step.startswith(StepKind.REVIEW.value) else attempt_dir.parent / "own"


def step_files(attempt_dir: Path, name: str) -> StepFiles:
    """Return the paths of the facts of a step."""
    return StepFiles(attempt_dir, name)
