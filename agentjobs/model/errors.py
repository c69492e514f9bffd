"""Every error a user can cause, and the exit codes (docs/design.md, section 4)."""

from __future__ import annotations

import errno
from enum import IntEnum

MACHINES = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EAGAIN}
)
"""What the system says when the machine is at fault: a full disk, no memory, too many open files."""


class ExitCode(IntEnum):
    """What a process ends with."""

    OK = 0
    FAILED = 1
    NOTHING_LEFT = 2
    HALTED = 3
    USAGE = 64
    BUG = 70
    INTERRUPTED = 130


class UserError(Exception):
    """Something a person can put right; shown as ``agentjobs: place: message`` on one line, exit 1.

    ``file``, ``line`` and ``column`` (both from 1) say where, as far as that is known.
    """

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, column: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.column = column

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        text = f"{place}: {self.message}" if place else self.message
        return " ".join(text.split("\n"))


def said(error: UserError | OSError) -> str:
    """Return what went wrong, in one line: a person's mistake, or the system's refusal with the file it is about."""
    return str(error) if isinstance(error, UserError) else f"{error.strerror}: {error.filename or ''}"


class LockBusy(UserError):
    """Another agentjobs process holds the lock of this project."""


class TreeBusy(UserError):
    """Another process holds the lock of a tree, or of the list of worktrees: to be tried again a little later."""


class GitError(UserError):
    """A git command failed where it must not; the message carries git's own words."""


class TimedOut(UserError):
    """A command was killed because it did not end in time."""


class MachineError(GitError):
    """The machine refused git what it needs: room on the disk, memory, the right to write objects."""


class TreeError(GitError):
    """What one task's tree holds keeps git or us from working there: the trouble of that task alone."""


def is_machines(error: BaseException) -> bool:
    """Whether the machine is at fault, and no tree: what failed will fail for every task."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MachineError) or (isinstance(seen, OSError) and seen.errno in MACHINES):
            return True
        seen = seen.__cause__
    return False
