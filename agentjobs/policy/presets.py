"""The presets: everything known about each agent CLI, one TOML file each under ``presets/``."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

_DIRECTORY = Path(__file__).with_name("presets")


def names() -> tuple[str, ...]:
    """Return the names of all presets."""
    return tuple(sorted(path.stem for path in _DIRECTORY.glob("*.toml")))


@cache
def preset(name: str) -> dict[str, Any] | None:
    """Return the table of a preset, as in a section ``[agents.NAME]``; None if there is none."""
    path = _DIRECTORY / f"{name}.toml"
    if path.parent != _DIRECTORY or not path.is_file():
        return None
    with path.open("rb") as file:
        return tomllib.load(file)
