"""Rules of reviews: severities, and how many reviewers must agree."""

from __future__ import annotations

from typing import Final, Literal

Severity = Literal["low", "medium", "high", "critical"]

Rule = Literal["all", "any", "majority"]

SEVERITIES: Final[tuple[str, ...]] = ("low", "medium", "high", "critical")
"""From the mildest to the worst."""
