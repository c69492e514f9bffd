"""What all tasks have used so far, from the columns of the table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from agentjobs.core.budget import Spent
from agentjobs.project.cells import AT_LEAST

if TYPE_CHECKING:
    from agentjobs.table.file import TaskFile


def spent_of(file: TaskFile, unspent: int = 0, opened: tuple[float, int] = (0.0, 0)) -> Spent:
    """Return the sums of the table's ``cost``, ``tokens`` and ``attempt`` columns; other than numbers count as 0.

    ``unspent``: how many of the attempts do not count; ``opened``: dollars and tokens of requests that were open when
    their agents were killed, which the table does not show.
    """
    cells = []
    for column in ("cost", "tokens", "attempt"):
        pending = {i: c[column] for i, c in file.pending.items() if column in c}
        cells.append([pending.get(task_id, text) for task_id, text in file.table.cells(column)])
    sums = [sum(_number(text) for text in column if text) for column in cells]
    used = zip(cells[0], cells[1], strict=True)
    unknown = sum(cost.endswith(AT_LEAST) or (not cost and _number(tokens) > 0) for cost, tokens in used)
    return Spent(sums[0], int(sums[1]), max(0, int(sums[2]) - unspent), unknown, *opened)


def _number(text: str) -> float:
    try:
        found = float(text.removesuffix(AT_LEAST))
    except ValueError:
        return 0.0
    return found if math.isfinite(found) else 0.0
