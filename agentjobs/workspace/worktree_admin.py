"""The administrative directory of a worktree, what we keep in it, and the environment that binds git to the tree.

Git always gets both the directory and the administrative directory of a tree. If it had to find them, a tree whose
``.git`` file was removed by an agent would count as a part of the repository around it: the user's own checkout.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.disk.plain_files import is_directory, is_plain, names_in, read_plain
from agentjobs.disk.write import replace_file
from agentjobs.model.errors import TreeError
from agentjobs.workspace.git import raw, text
from agentjobs.workspace.hazards import disarm_admin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentjobs.workspace.git import Git

SEED_INDEX = "agentjobs-index"
"""Our copy of the index from when we filled the tree: file times, so that unchanged files are not read again, and no
flags with which an agent may hide a change from ``git add``."""

_PLACED = "agentjobs-placed"

_ID = re.compile(rb"(?:[0-9a-f]{40}|[0-9a-f]{64})\n")


_NAME = re.compile(r"(?!.*\.lock$)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
"""A name that git takes for the administrative directory as it is."""


def admin_dir(git: Git, tree_dir: Path) -> Path | None:
    """Return the administrative directory of a worktree, found from git's side; None: not registered."""
    try:
        found = os.lstat(tree_dir)
    except OSError:
        pass
    else:
        if stat.S_ISLNK(found.st_mode):
            return None  # a link that an agent put in the place of its tree: not ours
        if os.path.samestat(found, git.toplevel.stat()):
            git_dir = git.toplevel / ".git"
            return git_dir if git_dir.is_dir() else git.common_dir
    registered = git.common_dir / "worktrees"
    if not is_directory(registered) or not is_directory(tree_dir.parent):
        return None  # a link would lead to other people's files
    if _is_of(f"{registered}/{tree_dir.name}", tree_dir):
        return registered / tree_dir.name
    names = sorted(names_in(registered))
    return next((registered / name for name in names if _is_of(f"{registered}/{name}", tree_dir)), None)


def _is_of(admin: str, tree_dir: Path) -> bool:
    try:
        link = text(read_plain(f"{admin}/gitdir", 1 << 16)).rstrip("\n") if is_directory(admin) else ""
    except OSError:
        return False
    above, _, name = link.rpartition("/")
    if name != ".git" or os.path.basename(above) != tree_dir.name:
        return False
    return above == str(tree_dir) or os.path.realpath(os.path.join(admin, above)) == os.path.realpath(tree_dir)


def add_worktree(git: Git, tree_dir: Path, commit: str) -> bool:
    """Do what ``git worktree add --no-checkout --detach`` does, but with no process; git itself takes two.

    False, and nothing is done, unless the repository's settings are the usual ones, the name is free and has no special
    characters, and ``commit`` is an id. ``tree_dir`` must not exist. The caller holds the lock of ``registration``.
    """
    try:
        settings = read_plain(git.common_dir / "config").lower()
    except OSError:
        return False
    usual = b"[extensions" not in settings and b"sharedrepository" not in settings
    if not usual or not _NAME.fullmatch(tree_dir.name) or not _ID.fullmatch(raw(f"{commit}\n")):
        return False
    admin = git.common_dir / "worktrees" / tree_dir.name
    try:
        admin.parent.mkdir(exist_ok=True)
        admin.mkdir()
    except FileExistsError:
        return False
    # In git's own order: whatever is there after a kill is what a killed git would leave.
    (admin / "locked").write_bytes(b"initializing\n")
    tree_dir.mkdir()
    (tree_dir / ".git").write_bytes(b"gitdir: " + os.fsencode(admin) + b"\n")
    (admin / "gitdir").write_bytes(os.fsencode(tree_dir / ".git") + b"\n")
    (admin / "HEAD").write_bytes(raw(f"{commit}\n"))
    (admin / "commondir").write_bytes(b"../..\n")
    (admin / "locked").unlink()
    return True


def tree_environment(git: Git, tree_dir: Path) -> dict[str, str]:
    """Return the variables that bind a git call to the tree. Raises ``TreeError`` if it is not registered."""
    admin = admin_dir(git, tree_dir)
    if admin is None:
        raise TreeError(f"{tree_dir} is not a worktree of {git.toplevel}")
    if admin.parent == git.common_dir / "worktrees":
        disarm_admin(admin)
    return {"GIT_DIR": str(admin), "GIT_WORK_TREE": str(tree_dir)}


def clone_dir(tree_dir: Path) -> Path:
    """Return where the agent's own repository is, if it has one (see ``clone``)."""
    return tree_dir.with_name(f".{tree_dir.name}.git")


def agents_view(tree_dir: Path, bound: dict[str, str]) -> dict[str, str]:
    """Return the variables that bind a git call to the tree with the index of the agent's own git."""
    own = clone_dir(tree_dir)
    return {**bound, "GIT_INDEX_FILE": str(own / "index")} if is_directory(own) and is_plain(own / "index") else bound


def head(git: Git, tree_dir: Path) -> str | None:
    """Return the commit of the tree's HEAD."""
    env = tree_environment(git, tree_dir)
    if commit := detached_at(Path(env["GIT_DIR"])):
        return git.resolve(commit)
    done = git.run("rev-parse", "--verify", "-q", "HEAD^{commit}", cwd=tree_dir, env=env, ok=(0, 1, 128))
    return text(done.stdout).strip() or None


def detached_at(admin: Path) -> str:
    """Return the id in the HEAD of a worktree; empty if it names a branch, or is not kept in a file."""
    try:
        found = read_plain(admin / "HEAD", 1 << 12)
    except OSError:
        return ""
    return found.strip().decode() if _ID.fullmatch(found) else ""


def may_be_checked_out(git: Git, ref: str) -> bool:
    """Return False if certainly no worktree has this branch checked out, from files alone; ``git.worktrees`` knows."""
    registered = git.common_dir / "worktrees"
    admins = [registered / name for name in names_in(registered)] if is_directory(registered) else []
    for admin in (git.common_dir, *admins):
        try:
            found = read_plain(admin / "HEAD", 1 << 12)
        except OSError:
            return True
        if not _ID.fullmatch(found) and not _is_other_branch(git, found, ref):
            return True
    return False


def _is_other_branch(git: Git, content: bytes, ref: str) -> bool:
    """Return whether the content of a HEAD names another branch, and not this one by another name."""
    name = content.removeprefix(b"ref: ").removesuffix(b"\n")
    if not name.startswith(b"refs/heads/") or name in {raw(ref), b"refs/heads/.invalid"}:  # reftable keeps it elsewhere
        return False
    try:
        return not read_plain(git.common_dir / text(name), 5).startswith(b"ref:")
    except OSError:
        return True


def placed(admin: Path) -> tuple[str, ...]:
    """Return the paths that we put into the tree ourselves (``copy``, ``link``): never part of a snapshot."""
    try:
        return tuple(text(part) for part in read_plain(admin / _PLACED).split(b"\0") if part)
    except FileNotFoundError:
        return ()


def set_placed(admin: Path, paths: Iterable[str]) -> None:
    """Record the paths that we put into the tree."""
    # By rename: with an incomplete list a snapshot would take in, and land, files that are only borrowed.
    replace_file(admin / _PLACED, b"".join(raw(path) + b"\0" for path in paths))


def ignore_patterns(paths: Iterable[str]) -> list[str]:
    """Return gitignore patterns that match exactly these paths."""
    special = str.maketrans({char: "\\" + char for char in "\\*?[]!# "})
    return ["/" + path.rstrip("/").translate(special) for path in paths]
