"""Remove what an agent left where git reads and would wait (FIFOs, sockets, devices), and refuse extreme depths.

Git opens ``.gitignore`` and the like without checking, and waits for ever if one is a FIFO. So we check first, in the
tree and in its administrative directory. What is removed has no content, so no work is lost.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.disk.delete import directories, enter, enter_writable, grant
from agentjobs.disk.plain_files import is_directory, names_in, put_aside
from agentjobs.model.errors import TreeError, is_machines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READ_BY_GIT = frozenset({".gitignore", ".gitattributes", ".gitmodules", ".mailmap"})
"""Files that git opens anywhere in a tree."""

RULES_MAX = 16 << 20
"""Most bytes of one of them: git reads them whole."""

PATH_MAX = 4000
"""Most bytes of a path in a tree: git cannot name a longer one."""

LEVELS_MAX = 256
"""Most nested directories: the time of ``git clean`` grows with the square of the depth."""

_FILES = frozenset(
    {
        "HEAD", "ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD", "index", "gitdir", "commondir", "config.worktree", "locked",
        "agentjobs-index", "agentjobs-placed", "agentjobs-setup", "agentjobs-clone",
    }
)  # fmt: skip
"""Files of an administrative directory."""

_COMMON = (
    "info/exclude", "info/attributes", "info/grafts", "info/sparse-checkout", "shallow", "packed-refs", "HEAD",
    "config", "config.worktree", "index", "objects/info/alternates", "objects/info/commit-graph", "objects/info/packs",
    "objects/pack/multi-pack-index",
)  # fmt: skip
"""Files that git always reads in the directory that all worktrees share."""

_COMMON_DIRECTORIES = ("", "info", "objects/info", "objects/pack")
"""The directories of these files."""

_TICK_NS = 100_000_000
"""Two changes of a directory within one tick of the kernel's clock (10 ms at most) have the same time."""

_harmless: dict[str, tuple[int, ...]] = {}
"""Common directories in which all these files were found to be plain files, and when their directories changed."""

_KEPT_BY_OTHERS = frozenset({"modules", "lfs"})
"""Directories in it that git reads only when it enters a submodule, which ours does not."""

_RIGHTS = stat.S_IRUSR | stat.S_IWUSR
_NO_HEAD = b"ref: refs/heads/agentjobs-no-head\n"
"""A HEAD without a commit: without any HEAD git does not recognise the directory as a repository's."""


def disarm(tree_dir: Path) -> None:
    """Make a tree safe for git: every directory can be entered, and contains only files, links and directories.

    Call it while nobody is at work there. Raises ``TreeError`` if git still could not work in it.
    """
    for at, name in _special(tree_dir, enter_writable):
        _take_away(name, at)


def _take_away(name: str, within: int | None = None) -> None:
    """Remove something without content; a process that waits at a pipe for a reader or writer goes on."""
    with contextlib.suppress(OSError):
        os.close(os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=within))
    os.unlink(name, dir_fd=within)


def is_safe(tree_dir: Path) -> bool:
    """Return whether git can look at a tree in which somebody is at work; changes nothing."""
    try:
        return next(_special(tree_dir, enter), None) is None
    except TreeError:
        return False


def _special(tree_dir: Path, entered: Callable[[str, int | None], int]) -> Iterator[tuple[int, str]]:
    """Yield what is neither file, link nor directory, as (descriptor of its directory, name).

    Includes repositories inside a tree: to recognise one, git reads its ``HEAD``.
    """
    try:
        for at, _, length, level in directories(tree_dir, enter=entered):
            if length > PATH_MAX or level > LEVELS_MAX:
                raise TreeError(f"{tree_dir} has directories too deep for git; remove them")
            with os.scandir(at) as entries:
                found = [entry for entry in entries if entry.name in READ_BY_GIT or not _is_usual(entry)]
            for entry in found:
                if not _is_usual(entry):
                    yield at, entry.name
                elif entry.is_file(follow_symlinks=False):
                    _check_size(entry.name, at, tree_dir)
    except OSError as error:
        if is_machines(error):
            raise
        raise TreeError(f"{tree_dir} cannot be read: {error.strerror}: {error.filename}") from error


def _is_usual(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False) or entry.is_symlink()


def _check_size(name: str, within: int, tree_dir: Path) -> None:
    size = os.stat(name, dir_fd=within, follow_symlinks=False).st_size
    if size > RULES_MAX:
        raise TreeError(f"{tree_dir} has a {name} of {size >> 20} MiB, which git would read whole; remove it")


def disarm_admin(admin: Path) -> None:
    """Make a worktree's administrative directory safe for git: files are files, and there are no links.

    A directory in the place of a file is renamed aside; anything else has no content and is removed.
    """
    spoilt = False
    for at, inside, length, _ in directories(admin, enter=enter_writable):
        for name in _KEPT_BY_OTHERS.intersection(inside):
            inside.remove(name)
        for name in os.listdir(at):
            mode = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode
            if stat.S_ISREG(mode):
                if _RIGHTS & ~mode:
                    grant(name, at, stat.S_IMODE(mode) | _RIGHTS)
            elif not stat.S_ISDIR(mode):
                os.unlink(name, dir_fd=at)
                spoilt = True
            elif not length and name in _FILES:
                inside.remove(name)
                put_aside(admin / name)
                spoilt = True
    if spoilt:
        _complete(admin)


def _complete(admin: Path) -> None:
    """Restore the files that git needs and that always have the same content."""
    for name, content in (("HEAD", _NO_HEAD), ("commondir", b"../..\n")):
        with contextlib.suppress(FileExistsError), (admin / name).open("xb") as file:
            file.write(content)


def disarm_common(common_dir: Path) -> None:
    """Remove what git would wait for in the files it always reads in the common directory.

    A directory in the place of one of these files is renamed aside. They are not looked at again as long as nothing is
    added, removed or renamed in their directories.
    """
    stamps = tuple(_changed_at(f"{common_dir}/{name}") for name in _COMMON_DIRECTORIES)
    if _harmless.get(str(common_dir)) == stamps:
        return
    plain = True
    for name in _COMMON:
        path = f"{common_dir}/{name}"
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            mode = os.lstat(path).st_mode
            plain &= stat.S_ISREG(mode)
            if stat.S_ISDIR(mode):
                put_aside(path)
            elif stat.S_ISSOCK(mode) or (not stat.S_ISREG(mode) and _is_endless(path)):
                _take_away(path)
    if plain and max(stamps) < time.time_ns() - _TICK_NS:
        _harmless[str(common_dir)] = stamps


def _changed_at(directory: str) -> int:
    """Return when an entry of a directory last changed, in ns; nobody can set that time."""
    try:
        return os.stat(directory).st_ctime_ns  # noqa: PTH116 - a Path costs more; behind a link, of what it leads to
    except OSError:
        return 0


def disarm_shared(common_dir: Path) -> bool:
    """Do the same for every file below it (refs, logs, objects …); return whether there was any.

    That takes a while in a large repository, so it is only for a git that does wait.
    """
    found, todo = False, [os.fspath(common_dir)]
    while todo:
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    todo += [] if entry.name in _KEPT_BY_OTHERS else [entry.path]
                elif not entry.is_file(follow_symlinks=False) and _is_endless(entry.path):
                    _take_away(entry.path)
                    found = True
    return found


def _is_endless(name: str) -> bool:
    """Return whether a path is a pipe or a device, or a link to one; /dev/null does not count, it has an end."""
    try:
        path = Path(name)
        found = path.stat()
        special = stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)
        return special and (not path.is_symlink() or found.st_rdev != Path(os.devnull).stat().st_rdev)
    except OSError:
        return False


def disarm_worktrees(common_dir: Path) -> None:
    """Remove what is neither file, directory nor link from all worktrees' directories: git reads some of each."""
    for admin in (common_dir / "worktrees" / name for name in names_in(common_dir / "worktrees")):
        for name in names_in(admin) if is_directory(admin) else ():
            _clear(f"{admin}/{name}")


def _clear(path: str) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        mode = os.lstat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
            _take_away(path)
