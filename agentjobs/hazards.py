"""Take out of git's way what an agent left where git reads: FIFOs, devices, endless depths, files of any size.

Git opens ``.gitignore`` and its like without looking, and waits for ever where that is a FIFO. So we look first, in
the tree and in its administrative directory. What is taken away holds no content: it is nobody's work.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from agentjobs.deletion import directories, enter_writable, grant
from agentjobs.errors import TreeError, is_machines
from agentjobs.plainfile import is_directory, names_in, put_aside

if TYPE_CHECKING:
    from pathlib import Path

READ_BY_GIT = frozenset({".gitignore", ".gitattributes", ".gitmodules", ".mailmap"})
"""Files that git opens wherever they lie in a tree."""

RULES_MAX = 16 << 20
"""Bytes of one of them: git reads them whole."""

PATH_MAX = 4000
"""Bytes of a path in a tree: no git can name a longer one."""

_FILES = frozenset(
    {
        "HEAD", "ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD", "index", "gitdir", "commondir", "config.worktree", "locked",
        "agentjobs-index", "agentjobs-placed", "agentjobs-setup", "agentjobs-clone",
    }
)  # fmt: skip
"""Files of an administrative directory."""

_KEPT_BY_OTHERS = frozenset({"modules", "lfs"})
"""Directories in there that git reads only where it enters a submodule, which ours does not."""

_RIGHTS = stat.S_IRUSR | stat.S_IWUSR
_NO_HEAD = b"ref: refs/heads/agentjobs-no-head\n"
"""A HEAD that stands on nothing: without any HEAD git does not take the directory for a repository's."""


def disarm(tree_dir: Path) -> None:
    """Make a tree safe for git: every directory can be entered, and what git opens there is a file.

    Raises ``TreeError`` where git could not work in it all the same.
    """
    try:
        for at, inside, length in directories(tree_dir, enter=enter_writable):
            if length > PATH_MAX:
                raise TreeError(f"{tree_dir} has directories so deep that git cannot name what is in them; remove them")
            if ".git" in inside:
                inside.remove(".git")
            with os.scandir(at) as entries:
                for entry in entries:
                    if entry.name in READ_BY_GIT:
                        _look_at(entry.name, at, tree_dir)
    except OSError as error:
        if is_machines(error):
            raise
        raise TreeError(f"{tree_dir} cannot be looked at: {error.strerror}: {error.filename}") from error


def _look_at(name: str, within: int, tree_dir: Path) -> None:
    found = os.stat(name, dir_fd=within, follow_symlinks=False)
    if stat.S_ISREG(found.st_mode):
        if found.st_size > RULES_MAX:
            size = f"{found.st_size >> 20} MiB"
            raise TreeError(f"{tree_dir} has a {name} of {size}, which git would read whole; remove it")
    elif not stat.S_ISDIR(found.st_mode) and not stat.S_ISLNK(found.st_mode):  # git opens no link of this name
        os.unlink(name, dir_fd=within)


def disarm_admin(admin: Path) -> None:
    """Make a worktree's administrative directory safe for git: what is to be a file is one, and nothing is a link.

    A directory in the place of a file is renamed aside; anything else has no content and is removed.
    """
    spoilt = False
    for at, inside, length in directories(admin, enter=enter_writable):
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
        _mended(admin)


def _mended(admin: Path) -> None:
    """Write anew what git cannot do without, and what always says the same."""
    for name, content in (("HEAD", _NO_HEAD), ("commondir", b"../..\n")):
        with contextlib.suppress(FileExistsError), (admin / name).open("xb") as file:
            file.write(content)


def disarm_worktrees(common_dir: Path) -> None:
    """Remove what is neither file, directory nor link from all worktrees' directories: git reads some of each."""
    for admin in (common_dir / "worktrees" / name for name in names_in(common_dir / "worktrees")):
        for name in names_in(admin) if is_directory(admin) else ():
            mode = (admin / name).lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
                (admin / name).unlink()
