"""docs/when-it-fails.md quotes messages that agentjobs really has, and misses no outcome."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from agentjobs.model.outcomes import Outcome

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "when-it-fails.md"

GAP = "…"
"""Stands for a value in a quote, and for each ``{…}`` of an f-string of the source."""


def plain(text: str) -> str:
    return " ".join(text.split())


@cache
def messages() -> str:
    """Return every text of the source, one per line, with a gap for each value that is put in."""
    found = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "agentjobs").rglob("*.sh"))]
    for path in sorted((ROOT / "agentjobs").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (str(v.value) if isinstance(v, ast.Constant) else GAP for v in node.values)
                found.append("".join(parts))
    return "\n".join(map(plain, found))


def quotes() -> list[tuple[int, str]]:
    """Return the quotes of the page with their lines: the texts in bold code, between one or more backticks."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [
        (number, quote) for number, line in enumerate(lines, 1) for quote in re.findall(r"\*\*`(.+?)`\*\*", line)
    ]


def test_every_quote_is_a_message() -> None:
    found = quotes()
    assert len(found) > 100
    gone = [f"docs/when-it-fails.md:{line}: {quote!r}" for line, quote in found if plain(quote) not in messages()]
    assert not gone, "agentjobs does not print these any more; write the new words there:\n" + "\n".join(gone)


def test_no_outcome_is_missing() -> None:
    page = PAGE.read_text(encoding="utf-8")
    missing = [outcome.value for outcome in Outcome if outcome is not Outcome.OK and f"`{outcome.value}`" not in page]
    assert not missing, f"docs/when-it-fails.md does not say what to do about {missing}"
