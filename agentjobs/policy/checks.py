"""All checks of a profile as shell commands. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentjobs.policy.policy import Profile


def checks_of(profile: Profile) -> tuple[str, ...]:
    """Return all checks of a task, in the order in which they run."""
    return tuple(check.command for check in profile.checks) + profile.verify
