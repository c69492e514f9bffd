"""Rules of reviews: severities, who must agree, and which reviewers a profile cannot have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentjobs.policy.policy import Profile

Severity = Literal["low", "medium", "high", "critical"]

Rule = Literal["all", "any", "majority"]

SEVERITIES: Final[tuple[str, ...]] = ("low", "medium", "high", "critical")
"""From the mildest on."""


def misnamed(profiles: Mapping[str, Profile], *, trees: bool) -> Iterator[tuple[str, str, str]]:
    """Yield, for each profile whose ``review`` cannot be: its name, the reviewer, what is wrong.

    A reviewer that is not defined is the caller's to tell. ``trees``: tasks have trees, and so commits.
    """
    for name, profile in profiles.items():
        for at, reviewer in enumerate(profile.review):
            other = profiles.get(reviewer)
            if not trees:
                yield name, reviewer, 'there is no commit to judge where workspace.kind is "none"'
            elif reviewer == name:
                yield name, reviewer, "a profile cannot review itself"
            elif reviewer in profile.review[:at]:
                yield name, reviewer, f"{reviewer} is named twice"
            elif other is not None and other.review:
                yield name, reviewer, f"{reviewer} has reviewers of its own; a reviewer may have none"
