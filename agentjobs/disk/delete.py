"""Walk and delete what an agent left: read-only directories, any depth, and never through a link.

Directories are opened relative to each other, so no path is too long, and a link that replaces a directory in the
meantime is refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from itertools import count
from typing import TYPE_CHECKING

from agentjobs.model.errors import TreeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def delete(path: Path) -> None:
    """Delete a file, a link or a directory, even if read-only. Raises ``TreeError`` if that fails."""
    try:
        try:
            is_directory = stat.S_ISDIR(path.lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return
        if not is_directory:
            path.unlink(missing_ok=True)
            return
        try:
            shutil.rmtree(path)
        except (OSError, RecursionError):
            _delete_bit_by_bit(path)
    except OSError as error:
        raise TreeError(f"cannot delete {path}: {error.strerror or error}") from error


def make_writable(top: Path) -> None:
    """Give us all rights on ``top`` and all directories below it."""
    for _ in directories(top, enter=enter_writable):
        pass


def directories(top: Path, *, enter: Callable[[str, int | None], int]) -> Iterator[tuple[int, list[str], int, int]]:
    """Yield each directory from ``top`` down, as (descriptor, names of its directories, length of its path, its level).

    The caller may remove names from the list: the walk then does not enter them. ``enter`` opens a directory inside
    another one, given by its descriptor.
    """
    length, at = 0, enter(os.fspath(top), None)
    above: list[tuple[tuple[int, int], int]] = []
    todo: list[list[str]] = []
    try:
        while True:
            if len(todo) == len(above):  # just entered
                found = _subdirectories(at)
                yield at, found, length, len(above)
                todo.append(found)
            if todo[-1]:
                name = todo[-1].pop()
                try:
                    inner = enter(name, at)
                except OSError as error:
                    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES}:
                        continue  # gone, replaced, or not accessible
                    raise
                above.append((_identity(at), length))
                length += len(os.fsencode(name)) + 1
                os.close(at)
                at = inner
                continue
            todo.pop()
            if not above:
                return
            (expected, length), up = above.pop(), os.open("..", _OPEN, dir_fd=at)
            os.close(at)
            at = up
            if _identity(at) != expected:
                raise OSError(errno.ESTALE, "a directory was moved while it was read", os.fspath(top))
    finally:
        os.close(at)


def enter_writable(name: str, within: int | None) -> int:
    """Open a directory after taking all rights on it. Raises OSError for a link or anything else."""
    try:
        return _taken(name, within)
    except PermissionError:
        grant(name, within, stat.S_IRWXU)
        return _taken(name, within)


def enter(name: str, within: int | None) -> int:
    """Open a directory as it is. Raises OSError for a link or anything else."""
    return os.open(name, _OPEN, dir_fd=within)


def _taken(name: str, within: int | None) -> int:
    at = os.open(name, _OPEN, dir_fd=within)
    mode = stat.S_IMODE(os.fstat(at).st_mode)
    if stat.S_IRWXU & ~mode:
        with contextlib.suppress(PermissionError):  # it belongs to another user
            os.fchmod(at, mode | stat.S_IRWXU)
    return at


def grant(name: str, within: int | None, mode: int) -> None:
    """Set the mode of a file or directory, not through a link. Does nothing if another user owns it."""
    with contextlib.suppress(PermissionError):
        if not hasattr(os, "O_PATH"):
            os.chmod(name, mode, dir_fd=within, follow_symlinks=False)
            return
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
        try:
            if not stat.S_ISLNK(os.fstat(handle).st_mode):
                os.chmod(f"/proc/self/fd/{handle}", mode)  # noqa: PTH101 - on the opened file
        finally:
            os.close(handle)


def _subdirectories(at: int) -> list[str]:
    with os.scandir(at) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _identity(at: int) -> tuple[int, int]:
    found = os.fstat(at)
    return found.st_dev, found.st_ino


def _delete_bit_by_bit(path: Path) -> None:
    """Delete a directory of any depth: what is two levels down is moved up first."""
    top = enter_writable(os.fspath(path), None)
    try:
        free = (f".agentjobs-{number}" for number in count())
        while names := os.listdir(top):
            for name in names:
                if not _is_directory(name, top):
                    os.unlink(name, dir_fd=top)
                    continue
                inner = enter_writable(name, top)
                try:
                    for below in os.listdir(inner):
                        if not _is_directory(below, inner):
                            os.unlink(below, dir_fd=inner)
                            continue
                        os.close(enter_writable(below, inner))
                        target = next(new for new in free if not _exists(new, top))
                        os.rename(below, target, src_dir_fd=inner, dst_dir_fd=top)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    path.rmdir()


def _is_directory(name: str, within: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode)


def _exists(name: str, within: int) -> bool:
    try:
        os.stat(name, dir_fd=within, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
