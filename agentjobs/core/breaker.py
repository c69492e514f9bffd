"""The breaker: halt the run if the first tasks all fail in the same way. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.model.outcomes import Outcome
from agentjobs.model.state import Halt

if TYPE_CHECKING:
    from collections.abc import Sequence

BREAKER = "breaker"
"""Why the run is halted."""


def tripped(wanted: int, tally: Sequence[tuple[str, str]], now: float) -> Halt | None:
    """Return the halt if the first ``wanted`` results (outcome, likeness) are one and the same failure."""
    if not wanted or len(tally) < wanted:
        return None
    first = tally[0]
    if first[0] == Outcome.OK.value or any(entry != first for entry in tally[:wanted]):
        return None
    return Halt(BREAKER, f"the first {wanted} tasks all ended alike ({first[0]})", now)


def counts(wanted: int, tally: Sequence[tuple[str, str]]) -> bool:
    """Return whether the breaker still counts: until the first success, or until it has enough results."""
    return bool(wanted) and len(tally) < wanted and not any(outcome == Outcome.OK.value for outcome, _ in tally)
