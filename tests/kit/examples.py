"""The agents of docs/examples/agents. They are not presets, as nobody has run the programs; their rules are tested."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from agentjobs.policy import presets

DIRECTORY = Path(__file__).resolve().parents[2] / "docs" / "examples" / "agents"
NAMES = tuple(sorted(path.stem for path in DIRECTORY.glob("*.toml")))


def preset(name: str) -> dict[str, Any] | None:
    """Return the table of a preset or an example."""
    if name not in NAMES:
        return presets.preset(name)
    table: dict[str, Any] = tomllib.loads((DIRECTORY / f"{name}.toml").read_text(encoding="utf-8"))["agents"][name]
    return table


def names() -> tuple[str, ...]:
    """Return the names of presets and examples."""
    return tuple(sorted((*presets.names(), *NAMES)))
