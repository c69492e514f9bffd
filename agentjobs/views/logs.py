"""The output of a task's steps: all of it at once, or as it arrives until the task settles. Takes no lock."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.disk.plain_files import open_plain
from agentjobs.model.errors import UserError
from agentjobs.model.steps import Running
from agentjobs.project.store import step_files
from agentjobs.text.masking import MaskedStream
from agentjobs.views.prompt import attempts_there_are, check_known

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from agentjobs.project.project import Project
    from agentjobs.text.masking import Masking

CHUNK = 1 << 16
LOOK_S = 0.2
"""Seconds between two looks at a log that is followed."""


class Log(Struct, frozen=True):
    """The output of one step."""

    attempt: int
    step: str
    path: Path
    open: bool
    """The step may still write to it."""


def logs(project: Project, task_id: str, number: int, step: str | None) -> list[Log]:
    """Return the logs of one attempt in the order of its steps; ``step``: only of that one, or of its kind."""
    attempt = project.store.attempt(task_id, number)
    found = []
    for one in attempt.steps if attempt else ():
        if step is None or step in {one.name, one.kind.value}:
            files = step_files(project.store.attempt_dir(task_id, number), one.name)
            found.append(Log(number, one.name, files.log, isinstance(one.state, Running)))
    return found


def check_attempt(project: Project, task_id: str, number: int) -> None:
    """Raise UserError unless the task has had that attempt."""
    check_known(project, task_id)
    if number not in project.store.numbers(task_id):
        raise UserError(f"{task_id} has no attempt {number}; {attempts_there_are(project, task_id)}")


def whole(project: Project, task_id: str, number: int, step: str | None) -> Iterator[tuple[Log, bytes]]:
    """Yield all output of one attempt in pieces. UserError if there is no such step."""
    found = logs(project, task_id, number, step)
    if not found and step is not None:
        attempt = project.store.attempt(task_id, number)
        names = ", ".join(one.name for one in attempt.steps) if attempt else ""
        raise UserError(f"attempt {number} of {task_id} has no step {step!r}" + (f"; it has {names}" if names else ""))
    for log in found:
        yield log, b""
        for piece in _pieces(log.path, 0):
            yield log, piece


def follow(project: Project, task_id: str, step: str | None, number: int | None) -> Iterator[tuple[Log, bytes]]:
    """Yield output as it arrives, over steps and attempts, until the task settles (with ``number``: that attempt ends).

    Starts with the whole output of the newest attempt.
    """
    store = project.store
    seen: dict[tuple[int, str], int] = {}
    at = number or (store.numbers(task_id) or [1])[-1]
    while True:
        over = _over(project, task_id, number)  # checked first, so that everything written before is read below
        for now in [number] if number else [n for n in store.numbers(task_id) if n >= at]:
            for log in logs(project, task_id, now, step):
                key = (now, log.step)
                if key not in seen:
                    seen[key] = 0
                    yield log, b""
                for piece in _pieces(log.path, seen[key]):
                    seen[key] += len(piece)
                    yield log, piece
            at = now
        if over:
            return
        time.sleep(LOOK_S)


def masked(pieces: Iterable[tuple[Log, bytes]], masking: Masking) -> Iterator[tuple[Log, bytes]]:
    """Yield the pieces without secrets, also a secret that is split over two pieces."""
    if not masking:
        yield from pieces
        return
    stream, last = MaskedStream(masking), None
    for log, piece in pieces:
        if last is not None and (log.attempt, log.step) != (last.attempt, last.step):
            if rest := stream.end():
                yield last, rest
            stream = MaskedStream(masking)
        last = log
        if not piece:
            yield log, b""
        elif certain := stream.feed(piece):
            yield log, certain
    if last is not None and (rest := stream.end()):
        yield last, rest


def _over(project: Project, task_id: str, number: int | None) -> bool:
    if number is not None:
        attempt = project.store.attempt(task_id, number)
        return attempt is not None and attempt.result is not None
    open_round = project.store.open_round(task_id)
    if open_round is not None:
        return open_round.wish is None and project.store.settled_round(task_id, open_round.round) is not None
    return bool(project.store.settled(task_id))


def _pieces(path: Path, start: int) -> Iterator[bytes]:
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            file.seek(start)
            while piece := file.read(CHUNK):
                yield piece
    except FileNotFoundError:
        return
