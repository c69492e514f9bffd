"""Rows for batches of documents, in a table that may have some already (pure).

A row belongs to ``plan pack`` if its ``pack`` cell has the plan's name. Rows that have not started are planned again.
All others stay and keep their documents; a DONE row keeps only documents whose content has not changed.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.model.tasks import Status
from agentjobs.plans.changes import Changes, has_begun, numbered, retired, reused
from agentjobs.plans.pack import Batch, Document, pack
from agentjobs.text import tsv

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from agentjobs.table.table import Table

NOTE: Final = "plan pack: "

OWN: Final = frozenset(
    {"id", "status", "pack", "docs", "doc_tokens", "doc_hashes", "oversized", "output", "files", "profile"}
)
"""The columns that planning writes."""


class Wanted(Struct, frozen=True):
    """The options of ``plan pack``."""

    name: str
    budget: int
    by_directory: bool = False
    output: str = "out/{id}.md"
    """What each task writes; ``{id}`` is its id. Empty: no output."""
    profile: str | None = None


class Repacked(Struct, frozen=True):
    """The changes to the table."""

    changes: Changes
    batches: tuple[Batch, ...]
    ids: tuple[str, ...]
    held: int
    """Number of documents that other rows keep."""
    again: tuple[str, ...]
    """Documents of DONE rows that have changed and are planned again."""
    oversized: tuple[str, ...]
    """Documents larger than the budget."""


class _Standing(Struct):
    """The rows of the plan, and the documents they keep."""

    waiting: dict[str, tuple[str, ...]] = {}
    done: set[tuple[str, str]] = set()
    """Path and digest of whole documents in DONE rows."""
    parts: dict[tuple[str, str], int] = {}
    """Number of parts in rows that stay, by path and digest: two parts may have the same content."""
    paths: set[str] = set()
    """Whole documents in rows that are not DONE."""
    was_done: set[str] = set()


def repack(
    table: Table,
    documents: Sequence[Document],
    wanted: Wanted,
    *,
    began: Collection[str],
    split: Callable[[Document], list[Document]] | None = None,
) -> Repacked:
    """Pack the documents that no row keeps. ``split`` cuts a document that is over the budget into parts."""
    now = _standing(table, wanted, began)
    todo: list[Document] = []
    held = 0
    for document in documents:
        if document.path in now.paths or (document.path, document.digest) in now.done:
            held += 1
            continue
        parts = split(document) if split is not None and document.tokens > wanted.budget else [document]
        kept = []
        for one in parts:
            if now.parts.get((one.path, one.digest)):
                now.parts[one.path, one.digest] -= 1
            else:
                kept.append(one)
        held += not kept
        todo += kept
    batches = pack(todo, wanted.budget, by_directory=wanted.by_directory)
    names = [[one.name for one in batch.documents] for batch in batches]
    chosen = reused(names, now.waiting)
    ids = numbered(len(batches), chosen, f"{wanted.name}-", 3, set(table.ids) - now.waiting.keys())
    rows = tuple(_row(task_id, batch, wanted) for task_id, batch in zip(ids, batches, strict=True))
    removed, skipped = retired(
        table, now.waiting, set(ids), OWN, lambda _: NOTE + "its documents are in other rows, or gone"
    )
    again = tuple(sorted({one.path for one in todo} & now.was_done))
    oversized = tuple(one.name for one in todo if one.tokens > wanted.budget)
    return Repacked(Changes(rows, removed, skipped), tuple(batches), ids, held, again, oversized)


def _row(task_id: str, batch: Batch, wanted: Wanted) -> dict[str, str]:
    output = wanted.output.replace("{id}", task_id)
    row = {
        "id": task_id,
        "pack": wanted.name,
        "docs": shlex.join(one.name for one in batch.documents),
        "doc_tokens": str(batch.tokens),
        "doc_hashes": " ".join(one.digest for one in batch.documents),
        "oversized": "yes" if batch.tokens > wanted.budget else "",
        "output": output,
        "files": shlex.quote(output) if output else "",
    }
    if wanted.profile is not None:
        row["profile"] = wanted.profile
    return row


def _standing(table: Table, wanted: Wanted, began: Collection[str]) -> _Standing:
    now = _Standing()
    for task_id, plan in table.cells("pack"):
        if plan != wanted.name:
            continue
        row = table.row(task_id)
        names = docs_of(table, task_id)
        if row.status is Status.TODO and not has_begun(table, task_id, began):
            now.waiting[task_id] = names
            continue
        if row.status is Status.SKIPPED and row.cells.get("note", "").startswith(NOTE):
            continue
        digests = row.cells.get("doc_hashes", "").split()
        for name, digest in zip(names, [*digests, *[""] * (len(names) - len(digests))], strict=False):
            path, _, _ = parse_name(name)
            done = row.status is Status.DONE
            if done:
                now.was_done.add(path)
            if path != name:
                now.parts[path, digest] = now.parts.get((path, digest), 0) + 1
            elif done:
                now.done.add((path, digest))
            else:
                now.paths.add(path)
    return now


def docs_of(table: Table, task_id: str) -> tuple[str, ...]:
    """Return the names in a row's ``docs``; UserError with the line for an unclosed quote."""
    try:
        return tsv.shell_words(table.cell(task_id, "docs"))
    except ValueError:
        raise table.error(task_id, "docs", "a quote is never closed (docs is read as shell words)") from None


def parse_name(name: str) -> tuple[str, int, int]:
    """Return path, first and last line of a document's name; lines are 0 for a whole file."""
    path, colon, lines = name.rpartition(":")
    first, dash, last = lines.partition("-")
    if colon and dash and first.isdecimal() and last.isdecimal() and path:
        return path, int(first), int(last)
    return name, 0, 0
