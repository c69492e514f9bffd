"""Numbers, durations and tables as people read them. Pure."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

KIB = 1024

_PLURALS = {"batch": "batches", "story": "stories"}


def duration(seconds: float) -> str:
    """Return a duration as ``0.4s``, ``42s``, ``3m12s`` or ``2h05m``."""
    if 0 <= seconds < 10:  # noqa: PLR2004 - tenths matter only here
        return f"{seconds:.1f}s"
    whole = max(0, int(seconds))
    if whole < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004 - minutes of an hour
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"


def many(count: int, what: str) -> str:
    """Return a count with its noun, as ``1 task`` or ``2,000 tasks``."""
    return f"{count:,} {what if count == 1 else _PLURALS.get(what, f'{what}s')}"


def size(count: int) -> str:
    """Return a number of bytes as ``12 B``, ``3.4 KiB`` or ``1.2 GiB``."""
    if count < KIB:
        return f"{count} B"
    value, unit = count / KIB, "KiB"
    for larger in ("MiB", "GiB"):
        if value < KIB:
            break
        value, unit = value / KIB, larger
    return f"{value:.1f} {unit}"


def clock(at: float) -> str:
    """Return an instant as the local time of day, with the date unless it is today."""
    moment = time.localtime(at)
    today = time.strftime("%Y-%m-%d")
    day = time.strftime("%Y-%m-%d", moment)
    return time.strftime("%H:%M:%S", moment) if day == today else f"{day} {time.strftime('%H:%M:%S', moment)}"


def until_text(at: float) -> str:
    """Return when a wait ends, always with its date, so that it can be read anywhere and at any time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def paused_text(by: str, at: float, until: float, why: str) -> str:
    """Return the author, start, end and reason of a pause of the run, and how to continue."""
    ends = "" if until == math.inf else f" until {until_text(until)}"
    said = f": {one_line(why)}" if why else ""
    return f"paused by {one_line(by)} since {clock(at)}{ends}{said} (no agent starts; `agentjobs go` continues)"


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Return the rows as aligned lines: the cells of a column start at the same place."""
    if not rows:
        return []
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(max(map(len, rows)))]
    return [
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]


def names(ids: Sequence[str], most: int = 5) -> str:
    """Return the first few ids, and how many more there are."""
    shown = " ".join(ids[:most])
    return f"{shown} … {len(ids) - most} more" if len(ids) > most else shown


def indented(line: str, most: int = 160) -> str:
    """Return a line with its indentation (an error may point with ``^`` into the line above it), cut to ``most``."""
    text = line.expandtabs(4)
    space = len(text) - len(text.lstrip())
    return text[:space] + text[space:].rstrip() if len(text) <= most else text[: most - 1] + "…"


def one_line(text: str, most: int = 160) -> str:
    """Return the text on one line, cut to ``most`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
