"""Rules of reviews: severities, how many must agree, and which reviewers a profile cannot have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentjobs.policy.policy import Profile

Severity = Literal["low", "medium", "high", "critical"]

Rule = Literal["all", "any", "majority"]

SEVERITIES: Final[tuple[str, ...]] = ("low", "medium", "high", "critical")
"""From the mildest to the worst."""


def misnamed(profiles: Mapping[str, Profile], *, trees: bool) -> Iterator[tuple[str, str, str]]:
    """Yield each wrong entry of a ``review``: the profile, the reviewer, the fault.

    The caller reports a reviewer that is not defined. ``trees``: tasks have trees, and so commits.
    """
    for name, profile in profiles.items():
        for at, reviewer in enumerate(profile.review):
            other = profiles.get(reviewer)
            if not trees:
                yield name, reviewer, 'there is no commit to review if workspace.kind is "none"'
            elif reviewer == name:
                yield name, reviewer, "a profile cannot review itself"
            elif reviewer in profile.review[:at]:
                yield name, reviewer, f"{reviewer} is named twice"
            elif other is not None and other.review:
                yield name, reviewer, f"{reviewer} has reviewers itself; a reviewer must not have any"
