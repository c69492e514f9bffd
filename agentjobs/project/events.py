"""New lines of ``events.jsonl``: what happened since it was last looked at, by whichever process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from agentjobs.disk.plain_files import open_plain
from agentjobs.model.facts import Json

if TYPE_CHECKING:
    from pathlib import Path


class Transitions:
    """Reads what is added to a file of events from now on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rest = b""
        try:
            self._at = path.stat().st_size
        except FileNotFoundError:
            self._at = 0

    def read(self) -> list[Json]:
        """Return the events that came since the last call; a line that is no event is left out."""
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
