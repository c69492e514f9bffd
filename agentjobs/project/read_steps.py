"""Facts as files: read if they can be, written as a whole; and the steps of an attempt, read from its directory."""

from __future__ import annotations

import os
import re
from pathlib import Path

from agentjobs.disk.files import read_json
from agentjobs.launch.launcher import state_of
from agentjobs.launch.step import StepFiles
from agentjobs.model.reviews import ReviewEnd, ReviewPlan
from agentjobs.model.steps import Kill, Prepare, Prepared, Seen, Step, StepKind

_STEP = re.compile(r"(setup|agent|verify|review|gate|plan)(-[0-9]+)?\.(?:lock|(?:plan\.|exit\.)?json)")
CHECKS = frozenset({StepKind.VERIFY, StepKind.GATE})
_ORDER = {kind: place for place, kind in enumerate(StepKind)}


def read_steps(path: str, present: list[str]) -> list[Step]:
    """Read the steps of an attempt from its directory, in the order in which they ran."""
    names = {f"{m[1]}{m[2] or ''}" for m in map(_STEP.fullmatch, present) if m}
    steps = []
    for name in names:
        files = StepFiles(Path(path), name)
        kind = StepKind(name.partition("-")[0])
        prepared = read_json(f"{path}/{name}.plan.json", Prepare) if kind in CHECKS else None
        review = read_json(f"{path}/{name}.plan.json", ReviewPlan) if kind is StepKind.REVIEW else None
        verdict = read_json(f"{path}/{name}.end.json", ReviewEnd) if review is not None else None
        seen = read_json(f"{path}/{name}.seen.json", Seen) if prepared and f"{name}.seen.json" in present else None
        phase = state_of(files)
        started_at = 0.0
        if not isinstance(phase, Prepared):
            # A runner that has just started holds the lock but may not have written its record yet.
            started_at = _mtime(f"{path}/{name}.json") or _mtime(f"{path}/{name}.lock")
        kill = read_json(f"{path}/{name}.kill.json", Kill) if f"{name}.kill.json" in present else None
        if kill is not None:
            sent = sum(other.startswith(f"{name}.kill-") for other in present)
            kill = Kill(kill.why, kill.at, 1 + sent, kill.detail)
        commit = prepared.commit if prepared else review.commit if review else ""
        checks, rest = (len(prepared.checks), len(prepared.rest)) if prepared else (0, 0)
        steps.append(Step(name, kind, phase, started_at, kill, commit, review, verdict, checks, rest, seen))
    return sorted(steps, key=lambda step: (_ORDER[step.kind], len(step.name), step.name))


def _mtime(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0
