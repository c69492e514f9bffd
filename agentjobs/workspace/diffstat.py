"""Which files differ between two commits, with lines counted and renames found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.workspace.git import text

if TYPE_CHECKING:
    from agentjobs.workspace.git import Git

RENAMES_MAX: Final = 400
"""With more files made and gone than that, git looks for no renames: it would compare each with each."""


def counted(git: Git, base: str, commit: str) -> list[FileChange]:
    """Return what ``commit`` has changed since ``base``, by path. Raises ``GitError`` for one that is not there."""
    flags = ("-r", "-z", "-M", f"-l{RENAMES_MAX}", "--raw", "--numstat", "--no-ext-diff", "--no-textconv")
    fields = text(git.run("diff-tree", *flags, base, commit, "--").stdout).split("\0")
    raw: dict[str, FileChange] = {}
    at = 0
    while at < len(fields) and fields[at].startswith(":"):
        *_, old, new, status = fields[at].split(" ")
        moved = status[0] in "RC"
        was, path = fields[at + 1], fields[at + 2 if moved else at + 1]
        at += 3 if moved else 2
        raw[path] = FileChange(path=path, was="" if status == "A" else was, old=_there(old), new=_there(new))
    found = []
    while at < len(fields) and fields[at]:
        added, removed, path = fields[at].split("\t", 2)
        if not path:
            path = fields[at + 2]
            at += 2
        at += 1
        change = raw[path]
        lines = (None, None) if added == "-" else (int(added), int(removed))
        found.append(FileChange(path, change.was, change.old, change.new, *lines))
    return sorted(found, key=lambda change: change.path)


def _there(name: str) -> str:
    return name if name.strip("0") else ""


class FileChange(Struct, frozen=True):
    """One file that a commit changed."""

    path: str
    was: str = ""
    """Its path before, where it was renamed; the same as ``path`` where it was there; empty for a new one."""
    old: str = ""
    """The id of its content before; empty for a new one."""
    new: str = ""
    """Likewise after; empty for one that is gone."""
    added: int | None = None
    """Lines; None: it is no text."""
    removed: int | None = None
