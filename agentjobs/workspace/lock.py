"""The lock of a tree, and the state of the tree in the lock file.

Git inherits the lock's descriptor: the holder of the lock knows that no git of ours is at work there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from typing import TYPE_CHECKING

from agentjobs.disk.plain_files import is_directory, is_plain, put_aside, regain
from agentjobs.model.errors import TreeBusy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TREE_WAIT_S = 2.0
"""How long to wait for another process that works on the same tree: all tasks wait meanwhile."""

_BUSY_S = 10.0
_busy: dict[str, float] = {}
"""Locks that could not be taken, and until when (monotonic) they are tried without waiting."""

MAKING, READY, RESET = "making", "ready", "reset"


@contextlib.contextmanager
def tree_lock(tree_dir: Path) -> Iterator[int]:
    """Hold the lock of the tree at ``tree_dir``: the file ``.<name>.lock`` next to it."""
    with flock(tree_dir.with_name(f".{tree_dir.name}.lock")) as descriptor:
        yield descriptor


@contextlib.contextmanager
def flock(path: Path, wait_s: float = TREE_WAIT_S) -> Iterator[int]:
    """Hold an exclusive lock on ``path``; yields its descriptor, for git to inherit.

    Raises ``TreeBusy`` if it is not free within ``wait_s``; at once if that happened a few seconds ago.
    """
    descriptor = _opened(path)
    try:
        begun_at = time.monotonic()
        give_up_at = begun_at + (wait_s if begun_at >= _busy.get(str(path), 0.0) else 0.0)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EINTR):
                    raise
            if time.monotonic() > give_up_at:
                _busy[str(path)] = time.monotonic() + _BUSY_S
                raise TreeBusy(f"another process holds the lock {path}; kill it if it is not at work there")
            time.sleep(0.005)
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    """Open a lock file; what an agent put in its place (a directory, a FIFO, a link) is renamed aside."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    if os.path.lexists(path) and not is_plain(path):
        put_aside(path)
    try:
        return os.open(path, flags, 0o600)
    except PermissionError:
        if not regain(path):
            raise
        return os.open(path, flags, 0o600)


def own_directory(path: Path) -> None:
    """Create a directory of ours if it is missing; a link there is renamed aside, because it leads elsewhere."""
    if os.path.lexists(path) and not is_directory(path):
        put_aside(path)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def state(lock: int) -> list[str]:
    """Return the state: ``ready``, ``making``, or ``reset <commit> [<tree>]``; no words if unknown."""
    return os.pread(lock, 256, 0).partition(b"\n")[0].decode("ascii", "replace").split()


def set_state(lock: int, *words: str) -> None:
    """Write the state."""
    # The new line first, in one write: after a kill before the rest is cut off, only the first line counts.
    line = " ".join(words).encode() + b"\n"
    os.pwrite(lock, line, 0)
    os.ftruncate(lock, len(line))
