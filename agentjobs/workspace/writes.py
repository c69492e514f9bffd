"""Commits and refs, written by two gits that stay alive, in place of a process for each.

What they cannot do, or refuse, raises ``UnansweredError``: a new process then does it, or says why not.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.workspace.git_environment import EMAIL, NAME
from agentjobs.workspace.long_lived import UnansweredError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentjobs.disk.run_command import Dialogue
    from agentjobs.workspace.long_lived import LongLived


class Writes:
    """``live`` returns a git of one repository that is started with these arguments when it is first asked."""

    def __init__(self, live: Callable[..., LongLived]) -> None:
        self._live = live
        self._refs = live("update-ref", "--no-deref", "--stdin")
        self._objects: tuple[LongLived, int] | None = None

    def commit(self, tree: str, parents: Sequence[str], message: bytes, date: str) -> str:
        """Write the commit object that ``git commit-tree`` makes, and return its id; ``date``: ``<seconds> +0000``."""
        if b"\0" in message or len(set(parents)) < len(parents):
            raise UnansweredError
        with contextlib.suppress(UnicodeDecodeError):
            message.decode()
            lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
            lines += [f"{role} {NAME} <{EMAIL}> {date}" for role in ("author", "committer")]
            return self._object(b"commit", "\n".join(lines).encode() + b"\n\n" + message)
        raise UnansweredError

    def _object(self, kind: bytes, data: bytes) -> str:
        """Write an object. Git reads it from a file without a name, so nobody else can change it."""
        if self._objects is None:
            file, name = tempfile.mkstemp()
            weakref.finalize(self, os.close, file)
            Path(name).unlink()
            arguments = ("hash-object", "-t", kind.decode(), "-w", "--no-filters", "--stdin-paths")
            self._objects = self._live(*arguments, pass_fds=(file,)), file
        git, file = self._objects
        os.ftruncate(file, 0)
        os.pwrite(file, data, 0)
        os.lseek(file, 0, os.SEEK_SET)  # on some systems the other side reads from here
        written = git.ask(b"/dev/fd/%d" % file, lambda line, _: line.decode("ascii", "replace"))
        expected = [hashed(kind + b" %d\0" % len(data) + data).hexdigest() for hashed in (hashlib.sha1, hashlib.sha256)]
        if written not in expected:
            git.close()
            raise UnansweredError
        return str(written)

    def ref(self, ref: str, new: str, old: str) -> None:
        """Move a ref from ``old`` (zeros: it must not exist) to ``new``."""

        def read(line: bytes, git: Dialogue) -> bool:
            if line != b"start: ok" or git.line() != b"commit: ok":
                raise BrokenPipeError
            return True

        self._refs.ask(f"start\nupdate {ref} {new} {old}\ncommit".encode(), read)
