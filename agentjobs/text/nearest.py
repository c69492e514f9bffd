"""Messages about a name that does not exist: the most similar one that does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known word that a typing error was probably meant to be; ``cutoff`` 1 accepts no difference."""
    from difflib import get_close_matches  # only when something is wrong

    close = get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return close[0] if close else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """Return a question with the nearest name. Without one: ``otherwise``, by default the list of known names."""
    names = list(known)
    if close := nearest(word, names):
        return f'did you mean "{close}"?'
    return f"known: {', '.join(names)}" if otherwise is None else otherwise


def unknown(what: str, name: str, known: Iterable[str], none: str = "known: none") -> str:
    """Return the error for an unknown name; ``none`` is the hint if no name is known at all."""
    names = list(known)
    return f'unknown {what} "{name}"; {did_you_mean(name, names) if names else none}'
