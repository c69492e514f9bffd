"""Look at a tree in which somebody may be at work, without touching it: its edits, and its content."""

from __future__ import annotations

import os
import shutil
import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.model.errors import TreeError, UserError
from agentjobs.workspace.differences import differences, take_in
from agentjobs.workspace.hazards import is_safe
from agentjobs.workspace.worktree_admin import SEED_INDEX, placed, tree_environment

if TYPE_CHECKING:
    from agentjobs.workspace.git import Git


class Edits(Struct, frozen=True):
    """How a tree differs from its commit."""

    digest: str
    """Equal as long as the commit, and the names, sizes and times of what is changed or untracked, are equal."""
    newest_at: float
    """When the newest of it was written, as far as known; 0 if nothing differs."""
    head: str
    """The commit of its HEAD."""
    head_at: float
    """When that commit was made."""


def edits_in(git: Git, tree_dir: Path) -> Edits | None:
    """Look at a tree; None if git cannot."""
    try:
        if not is_safe(tree_dir):
            return None
        env = tree_environment(git, tree_dir)  # without any settings that the agent made for its git
        head = git.run("log", "-1", "--format=%H %ct", "HEAD", cwd=tree_dir, env=env).stdout.split()
        status = ("status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
        said = git.run("--no-optional-locks", *status, "--ignore-submodules=dirty", cwd=tree_dir, env=env).stdout
    except (UserError, OSError):
        return None
    newest_at = 0.0
    digest = blake2b(head[0], digest_size=8)
    top = os.fsencode(tree_dir)
    for entry in said.split(b"\0"):
        if len(entry) <= len(b"XY "):
            continue
        path = os.path.join(top, entry[3:])
        size, times = _look(path)
        digest.update(b"%s %d %d\0" % (entry, size, times))
        newest_at = max(newest_at, times / 1e9)
    return Edits(digest.hexdigest(), newest_at, head[0].decode(), float(head[1]))


def tree_now(git: Git, tree_dir: Path) -> str:
    """Return the id of a tree object with what a tree contains now, without ignored files; the tree is not touched.

    Raises ``TreeError`` if git cannot look at it, which a process that works there can bring about.
    """
    if not is_safe(tree_dir):
        raise TreeError(f"git cannot look at {tree_dir} now")
    bound = tree_environment(git, tree_dir)
    admin = Path(bound["GIT_DIR"])
    with tempfile.TemporaryDirectory(prefix="agentjobs-look-") as scratch:
        env = {**bound, "GIT_INDEX_FILE": str(Path(scratch) / "index")}
        shutil.copy2(admin / SEED_INDEX, env["GIT_INDEX_FILE"])
        found = differences(git, tree_dir, env, placed(admin))
        take_in(git, tree_dir, env, [*found.changed, *found.plain], found.gone)
        return git.line("write-tree", env=env)


def _look(path: bytes) -> tuple[int, int]:
    """Return size and newest time (nanoseconds) of a path; for a missing one, those of its directory."""
    while True:
        try:
            found = os.lstat(path)
        except OSError:
            above = os.path.dirname(path)
            if above in (path, b""):
                return 0, 0
            path = above
        else:
            return found.st_size, max(found.st_mtime_ns, found.st_ctime_ns)
