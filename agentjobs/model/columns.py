"""The columns of tasks.tsv that agentjobs knows, by who writes them."""

from __future__ import annotations

from typing import Final

TOOL_COLUMNS: Final = ("status", "attempt", "started", "ended", "tokens", "cost", "commit", "note")
"""The columns that agentjobs writes, in the order in which missing ones are added."""

USER_COLUMNS: Final = ("id", "after", "files", "profile", "priority", "prompt", "verify")
"""The columns that agentjobs reads and never writes. Any other name is the user's own data."""
