"""``plan pack`` and ``plan tree``: read and count documents, make rows for batches and merges."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.model.errors import UserError
from agentjobs.model.tasks import Status
from agentjobs.plans.changes import Changes, has_begun, numbered, retired, reused
from agentjobs.plans.merge_tree import Source, next_level
from agentjobs.plans.repack import docs_of, repack
from agentjobs.plans.texts import described, read_files, read_texts, splitter
from agentjobs.plans.write import plan_with
from agentjobs.tokens.scale import scale_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from agentjobs.plans.merge_tree import Step
    from agentjobs.plans.pack import Document
    from agentjobs.plans.repack import Repacked, Wanted
    from agentjobs.plans.rows import Planned
    from agentjobs.project.project import Project
    from agentjobs.table.table import Table

NOTE: Final = "plan tree: "

OWN: Final = frozenset(
    {
        "id", "status", "after", "tree", "level", "docs", "doc_tokens", "doc_hashes", "output", "files", "missing",
        "final", "profile",
    }
)  # fmt: skip
"""The columns that planning writes for merges."""


class Packed(Struct, frozen=True):
    """The result of ``plan pack``."""

    planned: Planned
    result: Repacked
    odd: tuple[str, ...]
    binary: int


class Tree(Struct, frozen=True):
    """The options of ``plan tree``."""

    name: str
    fan_in: int
    budget: int
    of: str | None = None
    """Merge the outputs of this profile. None: of all tasks that are not in the tree."""
    output: str = "out/{id}.md"
    profile: str | None = None
    min_done: float = 1.0


class Leveled(Struct, frozen=True):
    """The result of ``plan tree``."""

    planned: Planned
    changes: Changes
    step: Step
    root: str
    """The last output, if everything is merged."""
    stale: tuple[str, ...]
    """DONE merges with an input that has changed since."""


def plan_pack(
    project: Project,
    paths: Sequence[str],
    wanted: Wanted,
    *,
    exclude: Sequence[str] = (),
    split: bool = False,
    dry_run: bool,
    lock_timeout_s: float,
) -> Packed:
    """Make rows for batches of documents. Raises UserError and LockBusy like ``plan_rows``."""
    scale = scale_of(project, project.policy.profiles[wanted.profile or "default"].agent)
    outputs: set[str] = set()
    if os.path.lexists(project.file.path):
        project.file.load()
        outputs = {value for _, value in project.file.table.cells("output") if value}
    texts = read_texts(project, paths, scale, exclude=exclude, without=outputs)
    cut = splitter(texts, wanted.budget, scale) if split else None
    found: list[Repacked] = []

    def plan(table: Table, began: Collection[str]) -> Changes:
        found.append(repack(table, texts.documents, wanted, began=began, split=cut))
        return found[-1].changes

    planned = plan_with(project, plan, dry_run=dry_run, lock_timeout_s=lock_timeout_s, check=True)
    return Packed(planned, found[-1], texts.odd, texts.binary)


def plan_tree(project: Project, tree: Tree, *, dry_run: bool, lock_timeout_s: float) -> Leveled:
    """Make rows for the next level of merges. UserError if a level cannot be planned, LockBusy if the lock is held."""
    if project.uses_trees and not project.lands:
        raise UserError("outputs do not land (landing.enabled = false), so no merge would find them in its tree")
    scale = scale_of(project, project.policy.profiles[tree.profile or "default"].agent)
    found: list[tuple[Changes, Step, str, tuple[str, ...]]] = []

    def plan(table: Table, began: Collection[str]) -> Changes:
        outputs = {table.cell(i, "output"): i for i in table.ids if table.cell(i, "output")}
        there = {
            one.path: one
            for one in described(
                project, {p: d for p, d in read_files(project, outputs.keys()).items() if d.strip()}, scale
            )
        }
        sources = _sources(table, tree, outputs, there, began)
        step = next_level(sources, fan_in=tree.fan_in, budget=tree.budget, min_done=tree.min_done)
        changes = _changes(table, tree, step, sources, there)
        known = {one.id: one for one in sources}
        found.append((changes, step, known[step.root].output if step.root else "", _stale(table, sources, there)))
        return changes

    planned = plan_with(project, plan, dry_run=dry_run, lock_timeout_s=lock_timeout_s, check=True)
    return Leveled(planned, *found[-1])


def _sources(
    table: Table, tree: Tree, outputs: dict[str, str], there: dict[str, Document], began: Collection[str]
) -> list[Source]:
    """Return the leaves and the merges of the tree, in the order of the table."""
    found = []
    for task_id in table.ids:
        row = table.row(task_id)
        output, name = row.cells.get("output", ""), row.cells.get("tree", "")
        if not output or (name and name != tree.name) or (not name and tree.of not in {None, row.profile}):
            continue
        level = row.cells.get("level", "").strip() if name else "0"
        if not level.isdecimal() or (name and int(level) < 1):
            raise table.error(task_id, "level", f"level {level!r} of a merge is not a number (1 or more)")
        inputs = tuple(outputs[one] for one in docs_of(table, task_id) if one in outputs) if name else ()
        tokens = there[output].tokens if output in there else None
        begun = has_begun(table, task_id, began)
        found.append(Source(task_id, row.status, output, tokens, int(level), inputs, begun))
    if not found:
        raise UserError("there is nothing to merge: no row has an `output` cell (`agentjobs plan pack` writes it)")
    return found


def _changes(
    table: Table, tree: Tree, step: Step, sources: Sequence[Source], there: dict[str, Document]
) -> Changes:
    """Return the rows of the next level, and what happens to the rows that they replace."""
    if step.pending:
        return Changes()
    known = {one.id: one for one in sources}
    waiting = {i: known[i].inputs for i in step.replaced}
    chosen: dict[int, str] = {}
    ids: list[str] = []
    for level in sorted({merge.level for merge in step.merges}):
        mine = [merge for merge in step.merges if merge.level == level]
        old = {i: inputs for i, inputs in waiting.items() if known[i].level == level}
        chosen = reused([merge.inputs for merge in mine], old)
        taken = (set(table.ids) - old.keys()) | set(ids)
        ids += numbered(len(mine), chosen, f"{tree.name}-{level}-", 2, taken)
    merges = sorted(step.merges, key=lambda merge: merge.level)
    final = len(merges) == 1 and not step.carried
    rows = []
    for task_id, merge in zip(ids, merges, strict=True):
        docs = [there[known[i].output] for i in merge.inputs]
        output = tree.output.replace("{id}", task_id)
        row = {
            "id": task_id,
            "after": " ".join(merge.inputs),
            "tree": tree.name,
            "level": str(merge.level),
            "docs": shlex.join(one.path for one in docs),
            "doc_tokens": str(merge.tokens),
            "doc_hashes": " ".join(one.digest for one in docs),
            "missing": " ".join(step.missing),
            "final": "yes" if final else "",
            "output": output,
            "files": shlex.quote(output),
        }
        if tree.profile is not None:
            row["profile"] = tree.profile
        rows.append(row)
    removed, skipped = retired(table, waiting, set(ids), OWN, lambda _: NOTE + "other tasks merge its inputs now")
    return Changes(tuple(rows), removed, skipped)


def _stale(table: Table, sources: Sequence[Source], there: dict[str, Document]) -> tuple[str, ...]:
    """Return the DONE merges with inputs that have changed."""
    found = []
    for one in sources:
        if not one.level or one.status is not Status.DONE:
            continue
        merged = table.cell(one.id, "doc_hashes").split()
        now = [there[path].digest if path in there else "" for path in docs_of(table, one.id)]
        if merged and merged != now:
            found.append(one.id)
    return tuple(found)
