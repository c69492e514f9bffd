"""What an attempt or a review used: tokens and money."""

from __future__ import annotations

from msgspec import Struct


class Spending(Struct, frozen=True, omit_defaults=True):
    """Tokens by kind, which do not overlap, and money in US dollars."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    cost: float | None = None
    """None if not known."""
    estimated: bool = False
    """The cost is computed from a table of prices."""
    partly: bool = False
    """A part of the cost is not known."""

    @property
    def tokens(self) -> int:
        """All tokens together."""
        return self.input + self.cache_read + self.cache_write + self.output

    @property
    def unknown(self) -> bool:
        """True if tokens of unknown cost were used."""
        return self.partly or (self.cost is None and self.tokens > 0)
