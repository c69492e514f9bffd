"""The handoffs of earlier tasks in a prompt; if an agent left none, one is derived from its work."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from agentjobs.disk.logs import read_head
from agentjobs.disk.plain_files import read_plain
from agentjobs.disk.write import printable
from agentjobs.model.errors import GitError, UserError
from agentjobs.model.facts import Over
from agentjobs.model.outcomes import Outcome
from agentjobs.model.tasks import Status
from agentjobs.project.store import HANDOFF
from agentjobs.prompts.handoff_budget import HANDOFFS_TOKENS, Left, choose
from agentjobs.prompts.handoff_text import HANDOFF_MAX
from agentjobs.table.ancestors import ancestors
from agentjobs.table.table import parse_status
from agentjobs.text.path_patterns import normalise

if TYPE_CHECKING:
    from pathlib import Path

    from agentjobs.model.tasks import Row
    from agentjobs.project.project import Project
    from agentjobs.table.table import Table

FILE: Final = "handoff.md"
"""Handoff of a task for the tasks after it, in the directory of its attempt."""

TITLE_MAX: Final = 200
"""Most characters of a task's title in a derived handoff."""

COUNTED_MAX: Final = 4 * 1024 * 1024
"""The tokens of an output file are counted up to this many bytes."""

KEPT_MAX: Final = 2000
"""Size of the cache of handoffs: many rows of a table need the same ones."""

_Key = tuple[str, ...]
_kept: WeakKeyDictionary[Project, dict[_Key, tuple[str, bool]]] = WeakKeyDictionary()


def handoffs(project: Project, row: Row, budget: int = HANDOFFS_TOKENS) -> list[dict[str, object]]:
    """Return the template variable ``handoffs``: ``id``, ``text``, ``distance`` and ``kind`` of each.

    ``budget``: tokens of all texts together. The table must have been read.
    """
    if not row.after:
        return []
    table = project.file.table
    found, farther = ancestors(
        row.after,
        lambda task_id: table.cell(task_id, "after").split(),
        lambda task_id: table.line_of(task_id) if task_id in table else None,
    )
    left = []
    for ancestor in found:
        text, derived = _left_by(project, ancestor.id)
        if text:
            left.append(Left(ancestor.id, text, ancestor.distance, ancestor.place, derived))
    from agentjobs.tokens.count import upper_bound  # only if there are handoffs

    small = sum(upper_bound(item.text) for item in left) <= budget
    told = choose(left, budget, upper_bound if small else _count, farther=farther)
    return [{"id": one.id, "text": one.text, "distance": one.distance, "kind": one.kind} for one in told]


@lru_cache(maxsize=4 * KEPT_MAX)
def _count(text: str) -> int:
    from agentjobs.tokens.count import count  # loads the vocabulary

    return count(text)


@lru_cache(maxsize=1)
def dependents(table: Table) -> dict[str, tuple[str, ...]]:
    """Return for each id the rows that have it in ``after``: ``Table.waiting_for`` for all rows at once."""
    found: dict[str, list[str]] = {}
    for task_id, after in table.cells("after") if "after" in table.header else ():
        for need in dict.fromkeys(after.split()) if after else ():
            found.setdefault(need, []).append(task_id)
    return {need: tuple(ids) for need, ids in found.items()}


def written(attempt_dir: Path) -> bytes:
    """Return the handoff that one attempt left, not masked yet; a sandboxed attempt has a separate directory for it."""
    inside = attempt_dir / HANDOFF / FILE
    # Never follow a link: outside of the sandbox it could read more than inside.
    path = inside if inside.is_file() and not inside.is_symlink() else attempt_dir / FILE
    return read_head(path, 8 * HANDOFF_MAX) if path.is_file() else b""


def _left_by(project: Project, task_id: str) -> tuple[str, bool]:
    """Return the handoff of a DONE task, masked, and whether it is derived; empty for any other task."""
    file = project.file
    if parse_status(file.cell(task_id, "status")) is not Status.DONE:
        return "", False
    kept = _kept.setdefault(project, {})
    key = (task_id, *(file.cell(task_id, column) for column in ("attempt", "ended", "title", "output")))
    if key not in kept:
        if len(kept) >= KEPT_MAX:
            kept.clear()
        kept[key] = _read(project, task_id)
    return kept[key]


def _read(project: Project, task_id: str) -> tuple[str, bool]:
    """Read the handoff of a task's DONE round; empty if a person set it to DONE."""
    store, masking = project.store, project.masking
    rounds = store.settled(task_id)
    number = rounds[-1].round if rounds else 0
    attempts = [a for a in store.attempts(task_id) if a.intent.round == number and isinstance(a, Over)]
    if not attempts or attempts[-1].outcome is not Outcome.OK:
        return "", False
    for attempt in reversed(attempts):
        data = written(store.attempt_dir(task_id, attempt.number))
        if text := masking.mask(data).decode("utf-8", "replace").strip():
            return text, False
    text = _of_diff(project, attempts[-1]) if attempts[-1].intent.base else _of_output(project, task_id)
    return masking.text(text), True


def _of_diff(project: Project, attempt: Over) -> str:
    """Derive a handoff from the commit of an attempt: the agent's own, or if that is gone the landed one."""
    from agentjobs.prompts.derived_handoff import from_diff, worth_parsing
    from agentjobs.workspace.diffstat import counted

    git, table, intent = project.git, project.file.table, attempt.intent
    made = (intent.base, attempt.end.commit if attempt.end else "")
    landed = attempt.result.landed
    for base, commit in (made, (f"{landed}^", landed)):
        if not commit or commit == base:
            continue
        try:
            changes = counted(git, base, commit)
            contents = git.blobs(name for c in worth_parsing(changes) for name in (c.old, c.new) if name)
        except GitError:
            continue
        title = table.cell(intent.id, "title") or table.cell(intent.id, "task").strip().partition("\n")[0]
        return printable(from_diff(title[:TITLE_MAX], changes, contents))
    return ""


def _of_output(project: Project, task_id: str) -> str:
    """Derive a handoff from the output file of a task without a tree."""
    from agentjobs.prompts.derived_handoff import from_output

    output = project.file.table.cell(task_id, "output").strip()
    try:
        path = project.root / normalise(output) if output else None
    except UserError:
        return ""
    if path is None or not path.is_file() or not path.resolve().is_relative_to(project.root.resolve()):
        return ""
    if path.stat().st_size > COUNTED_MAX:
        return from_output(output, None)
    from agentjobs.tokens.count import count

    return from_output(output, count(read_plain(path, follow=True).decode("utf-8", "replace")))
