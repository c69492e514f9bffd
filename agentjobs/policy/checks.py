"""The whole list of a profile's checks as shell commands. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentjobs.policy.policy import Profile


def checks_of(profile: Profile) -> tuple[str, ...]:
    """Return all that must succeed in a task's tree, in the order in which it runs."""
    return tuple(check.command for check in profile.checks) + profile.verify
