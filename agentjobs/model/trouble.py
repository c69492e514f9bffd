"""Trouble of accounts: which outcomes are trouble, and how often an agent may try again by itself."""

from __future__ import annotations

SAME_ERROR = "same_error"
"""Why a step was ended that met one error again and again; where a rule knows that error, it is the cause."""

TROUBLE = "trouble"
"""Why a step was ended that tried again and again for what is its account's trouble: class and words are its detail."""
