"""Trouble of accounts: which outcomes are trouble, and how often an agent may try again by itself."""

from __future__ import annotations

from typing import Final

from agentjobs.model.outcomes import Outcome

LASTING: Final = frozenset({Outcome.LIMIT, Outcome.AUTH, Outcome.UNREACHABLE})
"""Trouble that is counted where events tell of it. A service that is busy is not: a program's own tries get over it."""

BOUNDS: Final[dict[str, int]] = {
    Outcome.LIMIT: 2, Outcome.AUTH: 2, Outcome.OVERLOADED: 6, Outcome.UNREACHABLE: 6
}  # fmt: skip
"""How often in a row, with no answer between, a program may say that it tries again for such trouble."""

SAME_ERROR = "same_error"
"""Why a step was ended that met one error again and again; where a rule knows that error, it is the cause."""

TROUBLE = "trouble"
"""Why a step was ended that tried again and again for what is its account's trouble: class and words are its detail."""

TROUBLES = frozenset({Outcome.LIMIT, Outcome.OVERLOADED, Outcome.AUTH, Outcome.UNREACHABLE})
