"""The facts in the directory of an attempt, and its steps."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from agentjobs.disk.files import read_json
from agentjobs.launch.launcher import state_of
from agentjobs.launch.step import StepFiles
from agentjobs.model.reviews import ReviewEnd, ReviewPlan
from agentjobs.model.steps import Exited, Kill, Prepare, Prepared, Seen, Step, StepKind, StepState

Fact = TypeVar("Fact", bound=Struct)

_STEP = re.compile(r"(setup|agent|verify|review|gate|plan)(-[0-9]+)?\.(?:lock|(?:plan\.|exit\.)?json)")
CHECKS = frozenset({StepKind.VERIFY, StepKind.GATE})
_ORDER = {kind: place for place, kind in enumerate(StepKind)}


class Directory:
    """The directory of an attempt: a fact never changes, so each is read once, and again only if it was not there."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._where = Path(path)
        self._facts: dict[str, Struct] = {}
        self._ended: dict[str, tuple[StepState, float]] = {}

    def read(self, name: str, kind: type[Fact], present: list[str]) -> Fact | None:
        """Return a fact, or None if it is missing or unreadable; ``present``: the names in the directory by now."""
        if name not in present:
            self._facts.pop(name, None)  # if there is one again, it is another
            return None
        found = self._facts.get(name)
        if not isinstance(found, kind):
            found = read_json(f"{self.path}/{name}", kind)
            if found is not None:
                self._facts[name] = found
        return found

    def steps(self, present: list[str]) -> list[Step]:
        """Return the steps, in the order in which they ran."""
        names = {f"{m[1]}{m[2] or ''}" for m in map(_STEP.fullmatch, present) if m}
        self._ended = {name: end for name, end in self._ended.items() if f"{name}.exit.json" in present}
        steps = [self._step(name, present) for name in names]
        return sorted(steps, key=lambda step: (_ORDER[step.kind], len(step.name), step.name))

    def _step(self, name: str, present: list[str]) -> Step:
        kind = StepKind(name.partition("-")[0])
        prepared = self.read(f"{name}.plan.json", Prepare, present) if kind in CHECKS else None
        review = self.read(f"{name}.plan.json", ReviewPlan, present) if kind is StepKind.REVIEW else None
        verdict = self.read(f"{name}.end.json", ReviewEnd, present) if review is not None else None
        seen = self.read(f"{name}.seen.json", Seen, present) if prepared else None
        state, started_at = self._state(name)
        kill = self.read(f"{name}.kill.json", Kill, present)
        if kill is not None:
            sent = sum(other.startswith(f"{name}.kill-") for other in present)
            kill = Kill(kill.why, kill.at, 1 + sent, kill.detail)
        commit = prepared.commit if prepared else review.commit if review else ""
        checks, rest = (len(prepared.checks), len(prepared.rest)) if prepared else (0, 0)
        return Step(name, kind, state, started_at, kill, commit, review, verdict, checks, rest, seen)

    def _state(self, name: str) -> tuple[StepState, float]:
        """Return the state of a step and when it started; both are final as soon as its exit is there."""
        if name in self._ended:
            return self._ended[name]
        state = state_of(StepFiles(self._where, name))
        if isinstance(state, Prepared):
            return state, 0.0
        # A runner that has just started holds the lock but may not have written its record yet.
        started_at = _mtime(f"{self.path}/{name}.json") or _mtime(f"{self.path}/{name}.lock")
        if isinstance(state, Exited):
            self._ended[name] = state, started_at
        return state, started_at


def _mtime(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0
