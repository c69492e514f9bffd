"""The file with a reviewer's verdict: its schema, and the errors in one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from agentjobs.disk.logs import read_head
from agentjobs.text.tsv import BOM

if TYPE_CHECKING:
    from agentjobs.text.json_schema import Schema
    from agentjobs.text.masking import Masking

SCHEMA = "verdict"
"""The name of the verdict schema in `agentjobs validate`."""

SIZE_MAX = 1 << 20
"""Most bytes of a verdict."""

FAULTS_TOLD = 5


class Found(Struct, frozen=True):
    """One finding as the reviewer wrote it."""

    file: str
    severity: str
    trigger: str
    impact: str
    line: int | float | None = None
    """A whole number, though perhaps written as ``3.0``."""
    title: str = ""


class Verdict(Struct, frozen=True):
    """The content of a verdict file."""

    findings: tuple[Found, ...]
    summary: str = ""


def verdict_schema() -> Schema:
    """Return the schema of a verdict, which is part of the package."""
    from agentjobs.text.json_schema import Schema  # slow to import

    path = Path(__file__).resolve().with_name("verdict.schema.json")
    return Schema(path.read_bytes(), path.name)


def read_verdict(path: Path, masking: Masking) -> Verdict | str:
    """Return a verdict without secrets, or in one line what is wrong with it."""
    # Never follow a link: we can read more than the reviewer.
    if path.is_symlink() or not path.is_file():
        return f"it wrote no verdict ({path.name} is missing)"
    data = read_head(path, SIZE_MAX + 1)
    if len(data) > SIZE_MAX:
        return f"its verdict is larger than {SIZE_MAX >> 20} MiB"
    data = masking.mask(data)
    faults = []
    for fault in verdict_schema().faults(data):
        faults.append(f"line {fault.line}: {fault}" if fault.line else str(fault))
        if len(faults) == FAULTS_TOLD:
            break
    if faults:
        return f"its verdict is malformed: {'; '.join(faults)}"
    try:
        return msgspec.json.decode(data.removeprefix(BOM), type=Verdict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"its verdict is malformed: {error}"
