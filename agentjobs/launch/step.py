"""The files of one step and their content: names, the runner's record, its exit."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TypeVar

from msgspec import MsgspecError, Struct
from msgspec.json import decode

from agentjobs.disk.plain_files import open_plain, read_plain

Fact = TypeVar("Fact")

_FACT_MAX = 1 << 16
"""Most bytes of a fact that a runner writes."""


class Record(Struct, frozen=True):
    """Fact ``<step>.json``: the runner's pid, its start in clock ticks since boot, the boot's id, its marker.

    ``start`` and ``boot`` are empty on systems without ``/proc``.
    """

    pid: int
    start: str
    boot: str
    mark: str


class Exit(Struct, frozen=True):
    """Fact ``<step>.exit.json``: the command's exit status as a shell gives it (128 + signal)."""

    code: int


class StepFiles(Struct, frozen=True):
    """Where the facts of step ``name`` are, inside the directory of its attempt."""

    attempt_dir: Path
    name: str

    @property
    def prefix(self) -> str:
        """Return the common prefix of the paths of all facts of the step."""
        return f"{self.attempt_dir}/{self.name}"

    @property
    def lock(self) -> Path:
        """Return the file that the runner keeps locked while it lives."""
        return Path(f"{self.prefix}.lock")

    @property
    def record(self) -> Path:
        """Return the file with a :class:`Record`."""
        return Path(f"{self.prefix}.json")

    @property
    def exit(self) -> Path:
        """Return the file with an :class:`Exit`."""
        return Path(f"{self.prefix}.exit.json")

    @property
    def kill(self) -> Path:
        """Return the file with the reason why we ended the step (:class:`agentjobs.model.Kill`)."""
        return Path(f"{self.prefix}.kill.json")

    @property
    def log_name(self) -> str:
        """Return the path of the step's output as text."""
        kind, dash, count = self.name.partition("-")
        return f"{self.attempt_dir}/{'output' if kind == 'agent' else kind}{dash}{count}.log"

    @property
    def log(self) -> Path:
        """Return the step's output; an agent's is ``output.log``, of a second agent step ``output-2.log``."""
        return Path(self.log_name)


def read_record(files: StepFiles) -> Record | None:
    """Return what the runner wrote before it started the command; None if that is missing or incomplete."""
    return _read(f"{files.prefix}.json", Record)


def read_exit(files: StepFiles) -> Exit | None:
    """Return how the command ended; None if that is missing or incomplete (a full disk, a power cut)."""
    return _read(f"{files.prefix}.exit.json", Exit)


def _read(path: str, kind: type[Fact]) -> Fact | None:
    try:
        return decode(read_plain(path, _FACT_MAX), type=kind)
    except (FileNotFoundError, MsgspecError):
        return None


def open_lock(files: StepFiles) -> int | None:
    """Take the step's lock shared, without waiting; return its descriptor, or None while a runner holds it.

    While it is held the step cannot be started. A missing lock file is free: -1.
    """
    try:
        fd = open_plain(f"{files.prefix}.lock")
    except FileNotFoundError:
        return -1
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def is_held(files: StepFiles) -> bool:
    """Return whether a runner lives: only a runner holds the lock."""
    fd = open_lock(files)
    if fd is None:
        return True
    close_lock(fd)
    return False


def close_lock(fd: int) -> None:
    """Close what :func:`open_lock` returned."""
    if fd >= 0:
        with contextlib.suppress(OSError):
            os.close(fd)
