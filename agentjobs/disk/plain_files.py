"""Read files that somebody else may have replaced, without blocking and with bounded memory.

An agent can put a FIFO, a device, a directory or a link where we expect one of our files. A FIFO would block ``open``
for ever, with the project's lock held; a link would lead out of our own directories.
"""

from __future__ import annotations

import contextlib
import os
import stat

FACT_MAX = 256 << 20
"""Bytes. A larger file was not written by us: it counts as missing."""

_OURS = ".agentjobs"
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def open_plain(path: str | os.PathLike[str], *, follow: bool = False) -> int:
    """Open a regular file for reading and return its descriptor.

    Raises FileNotFoundError for anything else, including a link without ``follow``. An unreadable file below
    ``.agentjobs`` is made readable: it is ours, and somebody took the right away.
    """
    flags = _READ if follow else _READ | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags)
    except PermissionError:
        if not regain(path):
            raise
        fd = os.open(path, flags)
    except FileNotFoundError:
        raise
    except OSError:
        if is_plain(path, follow=follow):
            raise
        raise FileNotFoundError(2, "there is no regular file", os.fspath(path)) from None
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise FileNotFoundError(2, "there is no regular file", os.fspath(path))


def read_plain(path: str | os.PathLike[str], limit: int = -1, *, follow: bool = False) -> bytes:
    """Return the content of a regular file, at most ``limit`` bytes of it. Raises like ``open_plain``."""
    with os.fdopen(open_plain(path, follow=follow), "rb") as file:
        return file.read(limit)


def is_plain(path: str | os.PathLike[str], *, follow: bool = False) -> bool:
    """Return whether there is a regular file at a path; a link to one counts only with ``follow``."""
    try:
        found = os.stat(path, follow_symlinks=follow)  # noqa: PTH116 - a Path costs more than the call
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode)


def is_directory(path: str | os.PathLike[str]) -> bool:
    """Return whether there is a directory at a path; a link to one does not count."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def names_in(path: str | os.PathLike[str]) -> list[str]:
    """Return the names in one of our directories; none if there is no directory."""
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        if not regain(path):
            raise
        return os.listdir(path)


def regain(path: str | os.PathLike[str]) -> bool:
    """Restore the owner's rights on everything below ``.agentjobs`` on the way to ``path``; False: nothing to do."""
    whole = os.fspath(path)
    at = whole.rfind(f"/{_OURS}/")
    if at < 0:
        return False
    changed = False
    place = whole[: at + len(_OURS) + 1]
    for part in whole[at + len(_OURS) + 2 :].split("/"):
        place = f"{place}/{part}"
        with contextlib.suppress(OSError):
            mode = os.lstat(place).st_mode
            wanted = 0o700 if stat.S_ISDIR(mode) else 0o600 if stat.S_ISREG(mode) else 0
            if wanted & ~mode:
                os.chmod(place, stat.S_IMODE(mode) | wanted)  # noqa: PTH101 - a Path costs more
                changed = True
    return changed


def put_aside(path: str | os.PathLike[str], ending: str = "") -> None:
    """Rename whatever is at ``path`` to a free name next to it.

    Where names are ids or numbers, ``ending`` must end in ``~``: no file of ours does, once it is complete.
    """
    number = 1
    while os.path.lexists(target := f"{os.fspath(path)}.aside-{number}{ending}"):
        number += 1
    os.rename(path, target)  # noqa: PTH104
