"""What an agent makes of a text that we counted: a factor, and what it adds of its own. Pure.

The first request of a conversation holds the prompt and what the agent itself says to its model (system prompt, tools,
memory files). So tokens in the window = overhead + factor x tokens of the prompt: a straight line through attempts
whose prompts differ in size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST: Final = 3
"""Attempts below which no factor is told from the overhead."""

VAGUE: Final = 0.1
"""Standard error of a factor, as a part of it, above which it is not told from the overhead."""

LOWEST: Final = 0.5
HIGHEST: Final = 3.0
"""A factor outside of these is none: what was measured is something else."""


class Scale(Struct, frozen=True):
    """How an agent counts."""

    factor: float = 1.0
    """Its tokens for one of ours."""
    overhead: int = 0
    """Tokens of the first request that are not the prompt's."""

    def tokens(self, counted: int) -> int:
        """Return the tokens that a text has for the agent; a part of one is a whole one."""
        return math.ceil(round(counted * self.factor, 6))

    def budget(self, tokens: int) -> int:
        """Return how many of our tokens a text may have that has at most ``tokens`` for the agent."""
        return math.floor(round(tokens / self.factor, 6))


class Sample(Struct, frozen=True):
    """One conversation's first request."""

    prompt: int
    """Tokens of the prompt as we count them."""
    window: int
    """Tokens of the request as the agent reported them."""


class Off(Struct, frozen=True):
    """How far a scale is off, as parts of what the agent reported."""

    mean: float
    worst: float


class Fitted(Struct, frozen=True):
    """What the samples say."""

    scale: Scale
    before: Off
    """Of the scale that was."""
    after: Off
    """Of the new one, each sample foretold by all the others."""
    factor_known: bool
    """The factor comes from the samples; otherwise it is the one that was, and only the overhead does."""
    why: str = ""
    """Why the factor is not known."""


def fit(samples: Sequence[Sample], was: Scale) -> Fitted | None:
    """Fit a line through the samples by least squares; None where there are no samples.

    Where they are too few, or their prompts too much alike, for a factor, it stays and the overhead alone is fitted.
    """
    if not samples:
        return None
    before = _off(samples, [was.overhead + was.factor * one.prompt for one in samples])
    line, why = _line(samples)
    if line is None:
        leaving = [_overhead(_without(samples, at), was.factor) for at in range(len(samples))]
        scale = Scale(was.factor, round(max(0.0, _overhead(samples, was.factor))))
        foretold = [max(0.0, own) + was.factor * one.prompt for own, one in zip(leaving, samples, strict=True)]
        return Fitted(scale, before, _off(samples, foretold), factor_known=False, why=why)
    others = [_least_squares(_without(samples, at)) for at in range(len(samples))]
    foretold = [own + factor * one.prompt for (factor, own), one in zip(others, samples, strict=True)]
    scale = Scale(round(line[0], 4), round(line[1]))
    return Fitted(scale, before, _off(samples, foretold), factor_known=True)


def _line(samples: Sequence[Sample]) -> tuple[tuple[float, float] | None, str]:
    """Return factor and overhead, or None and why there is no telling."""
    if len(samples) < FEWEST:
        return None, f"fewer than {FEWEST} attempts tell"
    factor, overhead = _least_squares(samples)
    mean = sum(one.prompt for one in samples) / len(samples)
    spread = sum((one.prompt - mean) ** 2 for one in samples)
    left = sum((one.window - overhead - factor * one.prompt) ** 2 for one in samples)
    error = math.sqrt(left / (len(samples) - 2) / spread) if spread else math.inf
    if error > VAGUE * abs(factor):
        smallest, largest = min(one.prompt for one in samples), max(one.prompt for one in samples)
        return None, f"prompts of {smallest:,} to {largest:,} tokens are too much alike to tell it from the overhead"
    if not LOWEST <= factor <= HIGHEST:
        return None, f"what was reported grows {factor:.2f} times as fast as the prompts: that is not a count of them"
    return (factor, overhead), ""


def _least_squares(samples: Sequence[Sample]) -> tuple[float, float]:
    """Return factor and overhead; the overhead is not below 0."""
    count = len(samples)
    x = sum(one.prompt for one in samples) / count
    y = sum(one.window for one in samples) / count
    spread = sum((one.prompt - x) ** 2 for one in samples)
    if not spread:
        return (y / x if x else 1.0), 0.0
    factor = sum((one.prompt - x) * (one.window - y) for one in samples) / spread
    overhead = y - factor * x
    if overhead >= 0:
        return factor, overhead
    squares = sum(one.prompt**2 for one in samples)
    return sum(one.prompt * one.window for one in samples) / squares, 0.0


def _overhead(samples: Sequence[Sample], factor: float) -> float:
    return sum(one.window - factor * one.prompt for one in samples) / len(samples)


def _without(samples: Sequence[Sample], at: int) -> Sequence[Sample]:
    return [*samples[:at], *samples[at + 1 :]] if len(samples) > 1 else samples


def _off(samples: Sequence[Sample], foretold: Sequence[float]) -> Off:
    parts = [abs(told - one.window) / max(1, one.window) for told, one in zip(foretold, samples, strict=True)]
    return Off(sum(parts) / len(parts), max(parts))
