"""Writes the table in docs/agents.md: what each preset knows. ``make docs`` runs it, test_docs.py compares."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from agentjobs.policy.presets import names, preset
from agentjobs.text.versions import range_of

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "agents.md"
HEADER = "| agent | name | tested | conversation | tokens | cost | context | a profile may set |"
TABLE = re.compile(re.escape(HEADER) + r"\n(?:\|.*\n)*")


def table() -> str:
    """Return the table, one line an agent: sorted by name."""
    known = {name: preset(name) or {} for name in names()}
    lines = [HEADER, "|---|---|---|---|---|---|---|---|", *(line(name, known[name]) for name in sorted(known))]
    return "".join(f"{one}\n" for one in lines)


def line(name: str, settings: dict[str, Any]) -> str:
    """Return what is known of one agent."""
    flags = settings.get("flags", {})
    keys = {"model": "model", "turns": "turns", "budget": "budget_usd"}
    cells = (
        settings.get("about", ""),
        f"`{name}`",
        range_of(settings.get("tested", ())),
        _conversation(settings),
        _tokens(settings),
        _cost(settings),
        "watched" if "context" in settings else "not known",
        ", ".join(f"`{key}`" for flag, key in keys.items() if flag in flags) or "nothing",
    )
    return f"| {' | '.join(cells)} |"


def _conversation(settings: dict[str, Any]) -> str:
    if not settings.get("resume"):
        return "cannot be resumed"
    kept = settings.get("transcript", {})
    learnt = "session" in settings or "id" in kept or "database" in kept
    return "resumed; it reports the id" if learnt else "resumed; agentjobs sets the id"


def _tokens(settings: dict[str, Any]) -> str:
    kept = "transcript_usage" in settings or "database" in settings.get("transcript", {})
    places = [word for word, there in (("reported", "usage" in settings), ("on disk", kept)) if there]
    return " and ".join(places) or "not known"


def _cost(settings: dict[str, Any]) -> str:
    told = [settings.get(key, {}).get("cost") for key in ("usage", "transcript_usage")]
    if any(told) or re.search(r"\bcost\b", settings.get("transcript", {}).get("query", "")):
        return "reported"
    return "estimated" if settings.get("prices") else "not known"


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(TABLE.sub(lambda _: table(), text, count=1), encoding="utf-8")
