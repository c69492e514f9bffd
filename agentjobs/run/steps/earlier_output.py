"""Output of an earlier round, if tasks share the project's directory: move it away, or it would count as new work."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from agentjobs.text.path_patterns import normalise

if TYPE_CHECKING:
    from pathlib import Path

    from agentjobs.model.tasks import Row
    from agentjobs.project.project import Project

BEFORE = "output-before"
"""The file in the attempt's directory; with `-2` if another output was there before the agent started."""


def put_aside(project: Project, row: Row, attempt_dir: Path) -> None:
    """Move the output of a task into the directory of its first attempt, before that starts; safe to repeat.

    Only for a task whose profile names an output. UserError for an output outside of the project.
    """
    output = row.cells.get("output", "").strip()
    profile = project.policy.profiles.get(row.profile)
    if not output or profile is None or profile.output is None:
        return
    source = project.root / normalise(output)
    if not os.path.lexists(source) or source.is_dir():
        return
    place, number = attempt_dir / BEFORE, 1
    while os.path.lexists(place):  # a copy to another file system was interrupted, or the setup command wrote it again
        number += 1
        place = attempt_dir / f"{BEFORE}-{number}"
    shutil.move(source, place)
