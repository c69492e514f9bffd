"""Reads new lines of ``events.jsonl``, whichever process wrote them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from agentjobs.disk.plain_files import open_plain
from agentjobs.model.facts import Json

if TYPE_CHECKING:
    from pathlib import Path


class Transitions:
    """Reads the events that are appended to a file from now on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rest = b""
        try:
            self._at = path.stat().st_size
        except FileNotFoundError:
            self._at = 0

    def read(self) -> list[Json]:
        """Return the events since the last call; a line that is not an event is skipped."""
        try:
            with os.fdopen(open_plain(self.path), "rb") as file:
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return []
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = []
        for line in lines:
            try:
                found.append(msgspec.json.decode(line, type=Json))
            except msgspec.MsgspecError:
                continue
        return found
