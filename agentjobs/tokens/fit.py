"""How an agent counts tokens compared with agentjobs: a factor, and an overhead (pure).

The first request of a conversation holds the prompt and the agent's own text (system prompt, tools, memory files), so
its tokens = overhead + factor x tokens of the prompt. The factor is a ratio of sums: what the requests with the larger
prompts have more than those with the smaller prompts, in the agent's tokens divided by ours. The overhead is the rest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST: Final = 4
"""Fewer samples give no factor."""

SPREAD: Final = 0.2
"""The larger prompts must exceed the smaller ones by this share of the smaller requests. Less is lost in the noise."""

LOWEST: Final = 0.5
HIGHEST: Final = 3.0
"""A factor outside of these means that the agent reported something else than the size of its first request."""


class Scale(Struct, frozen=True):
    """How an agent counts."""

    factor: float = 1.0
    """The agent's tokens for one of ours."""
    overhead: int = 0
    """Tokens of the first request besides the prompt."""

    def tokens(self, counted: int) -> int:
        """Return the agent's tokens for a text of ``counted`` tokens, rounded up."""
        return math.ceil(round(counted * self.factor, 6))

    def budget(self, tokens: int) -> int:
        """Return how many of our tokens a text may have so that the agent counts at most ``tokens``."""
        return math.floor(round(tokens / self.factor, 6))


class Sample(Struct, frozen=True):
    """The first request of one conversation."""

    prompt: int
    """Tokens of the prompt as agentjobs counts them."""
    window: int
    """Tokens of the request as the agent reported them."""


class Off(Struct, frozen=True):
    """The error of a scale on the samples, as a share of what the agent reported."""

    mean: float
    worst: float


class Fitted(Struct, frozen=True):
    """A scale from samples."""

    scale: Scale
    before: Off
    """Error of the old scale."""
    after: Off
    """Error of the new scale."""
    factor_known: bool
    """True if the factor is from the samples. Otherwise it is the old one and only the overhead is new."""
    why: str = ""
    """Why the factor is not known."""


def fit(samples: Sequence[Sample], was: Scale) -> Fitted | None:
    """Return the scale that the samples show; None without samples."""
    if not samples:
        return None
    factor, why = _factor(samples)
    prompts, windows = sum(one.prompt for one in samples), sum(one.window for one in samples)
    if factor is not None and factor * prompts > windows:  # an overhead is not negative
        factor = windows / prompts
    known = was.factor if factor is None else round(factor, 4)
    scale = Scale(known, round(max(0.0, windows - known * prompts) / len(samples)))
    return Fitted(scale, _off(samples, was), _off(samples, scale), factor is not None, why)


def _factor(samples: Sequence[Sample]) -> tuple[float | None, str]:
    """Return the factor, or None and the reason."""
    if len(samples) < FEWEST:
        return None, f"{FEWEST} attempts are needed"
    ordered = sorted(samples, key=lambda one: (one.prompt, one.window))
    half = len(ordered) // 2
    small, large = ordered[:half], ordered[-half:]
    less, more = sum(one.prompt for one in small), sum(one.prompt for one in large)
    if more - less < SPREAD * sum(one.window for one in small):
        least, most = ordered[0].prompt, ordered[-1].prompt
        return None, f"all prompts have a similar size ({least:,} to {most:,} tokens)"
    factor = (sum(one.window for one in large) - sum(one.window for one in small)) / (more - less)
    if not LOWEST <= factor <= HIGHEST:
        return None, f"the reported tokens grow {factor:.2f} times as fast as the prompts, so they do not count them"
    return factor, ""


def _off(samples: Sequence[Sample], scale: Scale) -> Off:
    parts = [abs(scale.overhead + scale.factor * one.prompt - one.window) / max(1, one.window) for one in samples]
    return Off(sum(parts) / len(parts), max(parts))
