"""A handoff for a task if its agent wrote none: made from its diff, or from the file it wrote. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentjobs.prompts.handoff_text import WITHIN, Note, render
from agentjobs.source.exports import exported, understood

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentjobs.workspace.diffstat import FileChange

MARK: Final = "(derived from the diff: the agent left no handoff)"
"""First line of every handoff made from a diff."""

FILES_MAX: Final = 30
"""Most files that are listed."""

PARSED_MAX: Final = 40
"""The exports of at most this many files are compared."""

INTERFACES_MAX: Final = 40
"""Most changes of exports that are listed."""


def worth_parsing(changes: Sequence[FileChange]) -> list[FileChange]:
    """Return the files to compare by their exports: their contents are needed."""
    found = [c for c in changes if c.added is not None and (understood(c.path) or (c.was and understood(c.was)))]
    return found[:PARSED_MAX]


def from_diff(title: str, changes: Sequence[FileChange], contents: Mapping[str, bytes]) -> str:
    """Return a handoff made from a diff; empty if nothing changed.

    ``title``: the task's text. ``contents``: by id, of the files that ``worth_parsing`` names; a missing one counts
    as not understood.
    """
    if not changes:
        return ""
    files = [f"- {_told(change)}" for change in changes[:FILES_MAX]]
    if len(changes) > FILES_MAX:
        files.append(f"- and {len(changes) - FILES_MAX} more files")
    lines = list(_interfaces(changes, contents))
    if len(lines) > INTERFACES_MAX:
        lines = [*lines[:INTERFACES_MAX], f"- and {len(lines) - INTERFACES_MAX} more lines"]
    summary = "\n".join(filter(None, [" ".join(title.split()), *files]))
    note = Note(summary=summary, interfaces="\n".join(lines))
    return f"{MARK}\n\n{render(note, WITHIN)}"


def from_output(path: str, tokens: int | None) -> str:
    """Return the handoff of a task without a tree that wrote one file; ``tokens`` is None if they were not counted."""
    if tokens is None:
        return f"wrote {path}"
    return f"wrote {path} ({tokens:,} {'token' if tokens == 1 else 'tokens'})"


def _told(change: FileChange) -> str:
    counts = f"+{change.added} -{change.removed}" if change.added is not None else "no text"
    if not change.was:
        return f"`{change.path}` is new ({counts})"
    if not change.new:
        return f"`{change.path}` was deleted ({counts})"
    if change.was != change.path:
        return f"`{change.was}` is `{change.path}` now ({counts})"
    return f"`{change.path}` ({counts})"


def _interfaces(changes: Sequence[FileChange], contents: Mapping[str, bytes]) -> Iterator[str]:
    """Yield each file with the exports that were added, removed or declared differently."""
    for change in worth_parsing(changes):
        before = exported(change.was, contents[change.old]) if change.old in contents else {}
        after = exported(change.path, contents[change.new]) if change.new in contents else {}
        lines = [f"  - added `{after[name]}`" for name in after if name not in before]
        differing = (name for name in after if name in before and before[name] != after[name])
        lines += [f"  - `{before[name]}` is `{after[name]}` now" for name in differing]
        lines += [f"  - removed `{before[name]}`" for name in before if name not in after]
        if lines:
            yield f"- `{change.path}`"
            yield from lines
