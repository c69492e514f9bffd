"""What ``check`` finds: one line each, with its place."""

from __future__ import annotations

from msgspec import Struct


class Finding(Struct, frozen=True):
    """One thing to put right (an error) or to think about (a warning)."""

    message: str
    file: str = ""
    line: int | None = None
    column: int | None = None
    warning: bool = False

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file or None, self.line, self.column) if part is not None)
        text = f"warning: {self.message}" if self.warning else self.message
        return " ".join((f"{place}: {text}" if place else text).split("\n"))
