"""Rows of phases: read those that a plan printed, merge them into the table, and find those that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.disk.logs import read_head
from agentjobs.model.errors import UserError
from agentjobs.plans.changes import Changes, carried_out
from agentjobs.plans.rows import read_rows
from agentjobs.policy.phases import filled
from agentjobs.table.table import EMPTY, append, check_graph, parse
from agentjobs.text import tsv
from agentjobs.text.nearest import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agentjobs.project.project import Project
    from agentjobs.table.table import Table

RETIRED = "left out: its phase was planned again without it"
"""Note of a row that only an earlier plan run printed."""


def printed(project: Project, phase: str, path: Path) -> list[dict[str, str]]:
    """Return the rows that a plan printed, completed. UserError with file and line for an invalid row."""
    file = str(path.relative_to(project.root))
    most = project.policy.limits.output_bytes
    data = read_head(path, most + 1).removeprefix(tsv.BOM)
    if len(data) > most:
        raise UserError(f"it printed more than {project.policy.limits.output} (limits.output)", file=file)
    profiles, table = project.policy.profiles, project.file.table
    rows = [filled(row, phase, profiles[phase].output) for row in read_rows(data, "jsonl", file=file)]
    numbers = [number for number, line in enumerate(data.decode().split("\n"), 1) if line.strip()]
    planned = {row["id"]: row["profile"] for row in rows}
    ids = planned.keys()
    place = {name: at for at, name in enumerate(project.policy.phases)}
    for line, row in zip(numbers, rows, strict=True):
        if row["profile"] not in profiles:
            raise UserError(unknown("profile", row["profile"], profiles), file=file, line=line)
        for need in row.get("after", "").split():
            if need not in ids and need not in table:
                raise UserError(f"after names {tsv.quoted(need)}, which is not the id of a row", file=file, line=line)
            if place.get(planned.get(need) or table.profile(need), -1) > place.get(row["profile"], len(place)):
                why = f"after names {tsv.quoted(need)} of a later phase: neither could ever start"
                raise UserError(why, file=file, line=line)
        try:
            parse(append(parse(EMPTY), [{**row, "status": "TODO"}])).row(row["id"])
        except UserError as error:
            raise UserError(error.message, file=file, line=line) from None
    return rows


def merge(project: Project, rows: Sequence[dict[str, str]]) -> Callable[[Table], bytes]:
    """Return the changes that put the rows into a table: new ones appended, TODO rows updated, all others kept."""
    changes = Changes(tuple(rows))
    before = project.file.table

    def change(table: Table) -> bytes:
        data, _ = carried_out(table, changes)
        if rows:
            check_graph(parse(data, before.file))
        return data

    return change
