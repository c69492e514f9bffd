"""Whether anybody edits a tree: what git's status says of it, without touching it."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING

from msgspec import Struct

from agentjobs.model.errors import UserError
from agentjobs.workspace.hazards import is_safe
from agentjobs.workspace.snapshot import tree_environment

if TYPE_CHECKING:
    from pathlib import Path

    from agentjobs.workspace.git import Git


class Edits(Struct, frozen=True):
    """How a tree differs from what was committed there."""

    digest: str
    """The same as long as the commit, and the names, sizes and times of what is changed or untracked, are."""
    newest_at: float
    """When the last of it was made, as far as that can be told; 0 where nothing differs."""
    head: str
    """The commit it stands on."""
    head_at: float
    """When that was made."""


def edits_in(git: Git, tree_dir: Path) -> Edits | None:
    """Look at a tree; None where git cannot."""
    try:
        if not is_safe(tree_dir):
            return None
        env = tree_environment(git, tree_dir)  # nothing that the agent set up for a git of its own
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


def _look(path: bytes) -> tuple[int, int]:
    """Return the size and the newest time (nanoseconds) of a path; of one that is gone, of the directory it was in."""
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
