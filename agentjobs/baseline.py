"""The baseline: do a profile's checks pass on the base, before any work?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentjobs.project import Project


def require_green(project: Project, ids: tuple[str, ...], *, force: bool) -> None:
    """TODO."""
