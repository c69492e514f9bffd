"""Change how many agents run at once, while a run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentjobs.project.project import Project


def set_slots(project: Project, slots: int | None) -> None:
    """Set how many agents may run at once; None: as many as agentjobs.toml says."""
    project.store.create()
    project.store.set_slots(slots)


def slots_line(project: Project) -> str:
    """Return how many agents may run at once, and what says it."""
    found, written = project.store.slots(), project.policy.slots
    if found is None:
        return f"{written}, from agentjobs.toml"
    return f"{found}, set by `agentjobs slots` (agentjobs.toml has {written})"
