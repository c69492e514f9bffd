"""What an earlier round wrote, where tasks share the project's directory: put aside, or it would pass for new work."""

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
"""The file in the attempt's directory; with `-2` where there was one again before the agent began."""


def put_aside(project: Project, row: Row, attempt_dir: Path) -> None:
    """Move the output of a task into the directory of its first attempt, before that starts; again is no harm.

    Only of a task whose profile says what it writes. UserError for an output outside of the project.
    """
    output = row.cells.get("output", "").strip()
    profile = project.policy.profiles.get(row.profile)
    if not output or profile is None or profile.output is None:
        return
    source = project.root / normalise(output)
    if not os.path.lexists(source) or source.is_dir():
        return
    place, number = attempt_dir / BEFORE, 1
    while os.path.lexists(place):  # a copy to another file system was cut short, or the setup command wrote it anew
        number += 1
        place = attempt_dir / f"{BEFORE}-{number}"
    shutil.move(source, place)
