"""What a table may hold and hardly ever means: near misses of our columns, quotes of a CSV, paths that are nowhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentjobs.checkup.finding import Finding
from agentjobs.model.columns import USER_COLUMNS
from agentjobs.model.errors import UserError
from agentjobs.model.tasks import SETTLED
from agentjobs.project.project import TABLE
from agentjobs.table.overlaps import Names
from agentjobs.text.nearest import nearest
from agentjobs.text.tsv import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.project.project import Project

ALIKE: Final = 0.8
"""A name at least this similar to one of our columns is a typing error: ``file``, ``prority``; not ``title``."""

OTHER_WORDS: Final = dict.fromkeys(
    ("depends", "depends_on", "dependencies", "deps", "needs", "requires", "blocked_by"), "after"
)
"""What other programs call a column of ours."""

NAMED_MAX: Final = 3
"""At most this many rows are named in one warning."""

_CSV_QUOTED: Final = re.compile(r'"(?:[^"]|"")*""(?:[^"]|"")*"')


def column_doubts(project: Project) -> Iterator[Finding]:
    """Warn of columns that are nearly called like one that the tool reads."""
    table = project.file.table
    for name in table.header:
        known = [own for own in (*USER_COLUMNS, "status") if own not in table.header]
        word = name.strip().lower().replace("-", "_").replace(" ", "_")
        meant = OTHER_WORDS.get(word) or nearest(word, known, ALIKE)
        if meant in known:
            message = f"column {quoted(name)} means nothing to agentjobs; did you mean {quoted(meant)}?"
            yield Finding(message, TABLE, table.head_line, warning=True)


def cell_doubts(project: Project) -> Iterator[Finding]:
    """Warn of cells that are quoted as in a CSV: in this table quotes are text, and reach the agent."""
    table = project.file.table
    for column in table.header:
        for task_id, value in table.cells(column):
            if not value.startswith('"'):
                continue
            if _CSV_QUOTED.fullmatch(value):
                what = 'is quoted as in a CSV; take the outer quotes out and write " for ""'
            elif value.count('"') % 2:
                what = "begins with a quote that is never closed; in this table quotes are text"
            else:
                continue
            yield Finding(f"{column!r} of {task_id!r} {what}", TABLE, table.line_of(task_id), warning=True)


def file_doubts(project: Project) -> Iterator[Finding]:
    """Warn of open rows whose ``files`` cover nothing that trees start with, in one line: tasks may make new files."""
    table = project.file.table
    if "files" not in table.header or not project.uses_trees:
        return
    try:
        names = Names(project.git.files(project.tip()))
    except UserError:  # no repository, or no base: `check` reports it
        return
    lost: list[tuple[str, str]] = []
    statuses = table.statuses()
    for task_id, cell in table.cells("files"):
        if not cell or statuses[task_id] in SETTLED:
            continue
        try:
            files = table.row(task_id).files
            if not files or names.covered(files):
                continue
        except UserError:  # `check` reports it
            continue
        joined = [path for path in files if names.covered([part for part in re.split("[,;]", path) if part])]
        if joined:
            what = "is one path, and only its parts are there; separate paths by spaces"
            message = f"{joined[0]!r} of {task_id!r} {what}"
            yield Finding(message, TABLE, table.line_of(task_id), warning=True)
        else:
            lost.append((task_id, " ".join(files)))
    if lost:
        shown = "; ".join(f"{task_id}: {paths[:80]}" for task_id, paths in lost[:NAMED_MAX])
        more = f"; and {len(lost) - NAMED_MAX} more" if len(lost) > NAMED_MAX else ""
        message = f"none of these `files` is there yet ({shown}{more}): right only for files that a task makes"
        yield Finding(message, TABLE, table.line_of(lost[0][0]), warning=True)
