"""What to do about tasks whose files are more than fits beside their prompt: a warning for each, and the command."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from agentjobs.checkup.check import ALIKE_MAX
from agentjobs.checkup.finding import Finding
from agentjobs.project.project import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentjobs.checkup.parallel_facts import TooLarge


def warnings_of(tasks: Sequence[TooLarge]) -> Iterator[Finding]:
    """Yield a warning for the first few, and one for all the others."""
    for task in tasks[:ALIKE_MAX]:
        what = "documents" if task.row.cells.get("docs") else "files"
        message = (
            f"the {what} of {task.row.id} have {task.tokens:,} tokens; {max(0, task.limit):,} fit beside its prompt "
            f"(fit × window of its profile): {cure(task)}"
        )
        yield Finding(message, TABLE, task.row.line, warning=True)
    if len(tasks) > ALIKE_MAX:
        yield Finding(f"… and {len(tasks) - ALIKE_MAX} more tasks whose files do not fit", TABLE, warning=True)


def cure(task: TooLarge) -> str:
    """Return how such a task is split."""
    cells = task.row.cells
    if cells.get("tree"):
        return f"plan its merges anew with `agentjobs plan tree --budget {task.limit}`"
    if cells.get("pack"):
        return f"pack its documents anew with `agentjobs plan pack … --budget {task.limit} --split`"
    if cells.get("docs"):
        return f"`agentjobs plan pack {cells['docs']} --budget {task.limit} --split` makes tasks that fit"
    if task.files == 1:
        return "it is one file: let tasks name parts of it, or give the profile a model with a larger window"
    paths = shlex.join(task.row.files)
    return f"`agentjobs plan files {paths} --max-tokens {task.ours}` makes tasks that fit"
