"""Commits and refs, written by two gits that stay alive, in place of a process for each.

What they cannot do, or refuse, a new process then does, or says why not.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.disk.run_command import words
from agentjobs.model.errors import GitError, MachineError
from agentjobs.workspace.git_environment import EMAIL, NAME
from agentjobs.workspace.hazards import disarm_shared
from agentjobs.workspace.long_lived import UnansweredError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentjobs.disk.run_command import Completed, Dialogue
    from agentjobs.workspace.long_lived import LongLived

STALE_LOCK_S = 3.0
"""An older lock file on a ref of ours was left by a killed git: an update holds it for milliseconds."""

_REFUSED = re.compile(rb"permission denied|read-only file system|unable to (?:create|append|write)", re.IGNORECASE)
"""Git's messages if the directory of the refs cannot be written."""


class Writes:
    """For one repository; ``live`` returns a git that is started with its arguments when it is first asked.

    ``run`` and ``resolve`` are those of ``Git``; ``common_dir`` returns the directory that all worktrees share.
    """

    def __init__(
        self, live: Callable[..., LongLived], run: Callable[..., Completed], resolve: Callable[[str], str | None],
        common_dir: Callable[[], Path],
    ) -> None:  # fmt: skip
        self._live, self._run, self._resolve, self._common_dir = live, run, resolve, common_dir
        self._refs = live("update-ref", "--no-deref", "--stdin")
        self._objects: tuple[LongLived, int] | None = None

    def commit(self, tree: str, parents: Sequence[str], message: str, at: float) -> str:
        """Make a commit object and return its id (see ``Git.commit_tree``)."""
        date = f"{int(at)} +0000"
        text = (message if message.endswith("\n") else message + "\n").encode("utf-8", "surrogateescape")
        # Git refuses the first, leaves out the second, and has its own way with what is not UTF-8.
        if b"\0" not in text and len(set(parents)) == len(parents):
            with contextlib.suppress(UnansweredError, UnicodeDecodeError):
                text.decode()
                lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
                lines += [f"{role} {NAME} <{EMAIL}> {date}" for role in ("author", "committer")]
                return self._written("\n".join(lines).encode() + b"\n\n" + text)
        flags = [flag for parent in parents for flag in ("-p", parent)]
        env = {"GIT_AUTHOR_DATE": f"@{date}", "GIT_COMMITTER_DATE": f"@{date}"}
        return self._run("commit-tree", tree, *flags, stdin=text, env=env).stdout.decode().rstrip("\n")

    def _written(self, data: bytes) -> str:
        """Write a commit object. Git reads it from a file without a name, so nobody else can change it."""
        if self._objects is None:
            file, name = tempfile.mkstemp()
            weakref.finalize(self, os.close, file)
            Path(name).unlink()
            arguments = ("hash-object", "-t", "commit", "-w", "--no-filters", "--stdin-paths")
            self._objects = self._live(*arguments, pass_fds=(file,)), file
        git, file = self._objects
        os.ftruncate(file, 0)
        os.pwrite(file, data, 0)
        os.lseek(file, 0, os.SEEK_SET)  # on some systems the other side reads from here
        written = git.ask(b"/dev/fd/%d" % file, lambda line, _: line.decode("ascii", "replace"))
        expected = [hashed(b"commit %d\0" % len(data) + data).hexdigest() for hashed in (hashlib.sha1, hashlib.sha256)]
        if written not in expected:
            git.close()
            raise UnansweredError
        return str(written)

    def move(self, ref: str, new: str, old: str | None) -> bool:
        """Move a ref (see ``Git.update_ref``)."""
        expected = old if old is not None else "0" * len(new)
        with contextlib.suppress(UnansweredError):
            self._refs.ask(f"start\nupdate {ref} {new} {expected}\ncommit".encode(), _committed)
            return True
        common_dir = self._common_dir()
        lock = common_dir / f"{ref}.lock"
        give_up_at = time.monotonic() + 2 * STALE_LOCK_S
        while True:
            done = self._run("update-ref", "--no-deref", ref, new, expected, ok=(0, 1, 128))
            if done.code == 0:
                return True
            now = self._resolve(ref)
            if now == new:
                return True
            if now != old:
                return False
            if disarm_shared(common_dir):
                continue  # something was in the place of a directory of refs or logs
            # The value is right, so the ref is locked: briefly by another git, or by a dead one.
            if not lock.exists() or time.monotonic() > give_up_at:
                kind = MachineError if _REFUSED.search(done.stderr) else GitError
                raise kind(f"git update-ref failed: {words(done.stderr)}")
            if _age_s(lock) > STALE_LOCK_S:
                lock.unlink(missing_ok=True)
            else:
                time.sleep(0.05)


def _committed(line: bytes, git: Dialogue) -> bool:
    if line != b"start: ok" or git.line() != b"commit: ok":
        raise BrokenPipeError
    return True


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
