"""How the files of a tree differ from an index, and how the index takes them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agentjobs.workspace.git import parse_raw, raw, text
from agentjobs.workspace.worktree_admin import ignore_patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from agentjobs.workspace.git import Git

GITLINK = "160000"
"""The mode of a submodule's entry."""

_WORDS = {b"1": 8, b"u": 10}
"""In the output of ``git status --porcelain=v2``: how many spaces there are before the path, by kind of line."""

_MODE_FROM_PATH = {b"1": 3, b"u": 4}
"""By how many words the mode of the file in the tree comes before its path."""


class Differences(NamedTuple):
    """How the files of a tree differ from an index: paths."""

    changed: list[str]
    gone: list[str]
    plain: list[str]
    """Untracked files that are not ignored."""
    nested: list[str]
    """Untracked directories that are repositories."""
    staged: bool = True
    """The index may differ from HEAD."""

    def sort(self, path: str, old_mode: str, new_mode: str) -> None:
        """Note a tracked path that is not as in the index; a repository in the place of a file is a nested one."""
        became_nested = new_mode == GITLINK != old_mode
        (self.gone if became_nested or not int(new_mode, 8) else self.changed).append(path)
        if became_nested:
            self.nested.append(path)


def differences(git: Git, work_dir: Path, env: dict[str, str], ours: Sequence[str] = ()) -> Differences:
    """Walk the tree once. ``ours``: untracked paths that we put there, which do not count.

    No git is started inside a submodule: that one would obey settings that an agent wrote there.
    """
    flags = ("--porcelain=v2", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=dirty")
    done = git.run("status", *flags, cwd=work_dir, env=env, ok=(0, 128)) if not ours else None
    if done is None or done.code != 0:  # `status` reads HEAD, which an agent may have broken
        return _walked_twice(git, work_dir, env, ours)
    found = Differences([], [], [], [], staged=False)
    staged = False
    for line in done.stdout.split(b"\0"):
        if line.startswith(b"? "):
            path = text(line[2:])
            (found.nested if path.endswith("/") else found.plain).append(path.rstrip("/"))
        elif line:
            words = line.split(b" ", _WORDS[line[:1]])
            staged |= words[1][:1] != b"."
            if words[1][1:] != b".":
                mode = words[_WORDS[line[:1]] - _MODE_FROM_PATH[line[:1]]]
                found.sort(text(words[-1]), words[3].decode(), mode.decode())
    return found._replace(staged=staged)


def _walked_twice(git: Git, work_dir: Path, env: dict[str, str], ours: Sequence[str]) -> Differences:
    flags = ("--raw", "-z", "--no-renames", "--ignore-submodules=dirty")
    found = Differences([], [], [], [])
    for change in parse_raw(git.run("diff-files", *flags, cwd=work_dir, env=env).stdout):
        found.sort(change.path, change.old_mode, change.new_mode)
    excludes = [f"--exclude={pattern}" for pattern in ignore_patterns(ours)]
    done = git.run("ls-files", "-z", "--others", "--exclude-standard", *excludes, cwd=work_dir, env=env)
    for path in (text(path) for path in done.stdout.split(b"\0") if path):
        (found.nested if path.endswith("/") else found.plain).append(path.rstrip("/"))
    return found


def take_in(git: Git, work_dir: Path, env: dict[str, str], paths: Iterable[str], gone: Sequence[str] = ()) -> None:
    """Put these files of the tree into the index, and remove the entries of those that are ``gone``."""
    if gone:
        git.run("update-index", "-z", "--force-remove", "--stdin", cwd=work_dir, env=env, stdin=listed(gone))
    if stdin := listed(paths):
        # `--remove`: a file that was deleted in the meantime is not an error.
        flags = ("--add", "--remove", "--replace", "-z", "--stdin")
        git.run("update-index", *flags, cwd=work_dir, env=env, stdin=stdin)


def listed(paths: Iterable[str]) -> bytes:
    """Return paths as git reads them with ``-z --stdin``."""
    return b"".join(raw(path) + b"\0" for path in paths)
