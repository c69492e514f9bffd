"""Facts as files: read if they can be, written as a whole; and the steps of an attempt, read from its directory."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeVar

import msgspec

from agentjobs.disk.plain_files import FACT_MAX, read_plain
from agentjobs.disk.write import encode, replace_file
from agentjobs.launch.local import StepFiles, probe
from agentjobs.model.errors import UserError
from agentjobs.model.facts import Kill, Prepare, Prepared, Seen, Step, StepKind
from agentjobs.model.reviews import ReviewEnd, ReviewPlan

_STEP = re.compile(r"(setup|agent|verify|review|gate|plan)(-[0-9]+)?\.(?:lock|(?:plan\.|exit\.)?json)")
T = TypeVar("T")
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
        phase = probe(files)
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


def read_raw(path: Path | str, *, follow: bool = False) -> bytes:
    """Return the bytes of a file; empty if there is no regular file or it is too large.

    ``follow``: follow a link, for files of the user.
    """
    try:
        data = read_plain(path, FACT_MAX + 1, follow=follow)
    except FileNotFoundError:
        return b""
    return data if len(data) <= FACT_MAX else b""


def read_json(path: Path | str, kind: type[T]) -> T | None:
    """Return a fact, or None if there is none that can be read."""
    data = read_raw(path)
    if not data:
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError:
        return None


def write_json(path: Path, value: object, *, durable: bool = False) -> None:
    """Write a value as JSON, by rename; ``durable``: flush it, so that it survives a power cut."""
    write_bytes(path, encode(value) + b"\n", durable=durable)


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace a file by rename, mode 0600; readers see all of it or none."""
    try:
        replace_file(path, data, durable=durable)
    except OSError as error:
        raise UserError(f"cannot write: {error.strerror}", file=str(path)) from error
