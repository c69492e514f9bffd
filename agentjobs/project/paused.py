"""The file ``.agentjobs/paused``: a person, a script or a chat bot stops all starts of agents with it."""

from __future__ import annotations

import pwd
import stat
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from agentjobs.disk.files import read_raw
from agentjobs.model.errors import UserError
from agentjobs.model.state import Paused

if TYPE_CHECKING:
    import os
    from pathlib import Path

PAUSED = "paused"

EXAMPLE = '{"until": "2027-01-31T07:00:00Z", "why": "deployment", "by": "ann"}'


def read_paused(path: Path, now: float) -> Paused | None:
    """Return the pause that a file describes, with its author and time; None if there is none, or its end has passed.

    UserError for any other content: a pause that was meant and not understood must not start agents.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise UserError("is not a regular file: `agentjobs go` removes it", file=f".agentjobs/{PAUSED}")
    data = read_raw(path).strip()
    try:
        paused = msgspec.json.decode(data, type=Paused) if data else Paused()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        cure = f"it must be empty or have {EXAMPLE}, each of them if you like; `agentjobs go` removes it"
        raise UserError(f"{error}; {cure}", file=f".agentjobs/{PAUSED}") from None
    if paused.ends_at <= now:
        return None
    return replace(paused, by=paused.by or _owner(found), at=paused.at or found.st_mtime)


def _owner(found: os.stat_result) -> str:
    try:
        return pwd.getpwuid(found.st_uid).pw_name
    except KeyError:  # a container may run as a user without a name
        return f"user {found.st_uid}"
