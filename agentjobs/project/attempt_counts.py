"""Counts of attempts: first results for the breaker, attempts that do not count, and requests open at kills.

Each is a separate file, so that counting twice after a crash changes nothing.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from agentjobs.disk.files import read_raw, write_bytes
from agentjobs.disk.plain_files import names_in
from agentjobs.disk.write import remove
from agentjobs.text.tsv import is_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentjobs.model.spending import Spending


class Tally:
    """The counts in ``.agentjobs``. ``make`` creates a directory of that name there and returns it."""

    def __init__(self, directory: Path, make: Callable[[str], Path]) -> None:
        self.dir = directory
        self._make = make

    def results(self) -> tuple[tuple[str, str], ...]:
        """Return the first results of distinct tasks since the last ``dispatch``, as (class, signature)."""
        entries = []
        for name in names_in(f"{self.dir}/tally"):
            path = f"{self.dir}/tally/{name}"
            with contextlib.suppress(OSError):
                words = read_raw(path).decode("ascii", "replace").split() if is_id(name) else []
                if len(words) == 2:  # noqa: PLR2004
                    entries.append((os.stat(path).st_mtime, words[0], words[1]))  # noqa: PTH116 - as everywhere here
        return tuple((cls, sig) for _, cls, sig in sorted(entries))

    def ids(self) -> list[str]:
        """Return the tasks with a result that the breaker counts."""
        return sorted(name for name in names_in(f"{self.dir}/tally") if is_id(name))

    def count(self, task_id: str, cls: str, signature: str) -> None:
        """Note the first result of a task, for the breaker."""
        path = self.dir / "tally" / task_id
        if not path.exists():
            write_bytes(path, f"{cls} {signature or '-'}\n".encode())

    def clear(self) -> None:
        """Reset the breaker."""
        for name in names_in(f"{self.dir}/tally"):
            remove(self.dir / "tally" / name)

    def count_unspent(self, task_id: str, number: int) -> None:
        """Note an attempt that does not count, for the budget of attempts."""
        (self._make("unspent") / f"{task_id}.{number}").touch(mode=0o600)

    def is_unspent(self, task_id: str, number: int) -> bool:
        """Return whether an attempt does not count."""
        return os.path.exists(f"{self.dir}/unspent/{task_id}.{number}")  # noqa: PTH110 - a Path costs more than the look

    def unspent(self) -> int:
        """Return how many attempts do not count (a limit, a failed login, a stop)."""
        return sum(is_id(name) for name in names_in(f"{self.dir}/unspent"))

    def count_open(self, task_id: str, run: str, spent: Spending) -> None:
        """Note the most that requests used which were open when an agent was killed.

        ``run``: its attempt, or review.
        """
        if spent.tokens:
            path = self._make("open") / f"{task_id}.{run}"
            write_bytes(path, f"{spent.tokens} {spent.cost or 0.0:.6f}\n".encode())

    def open_requests(self) -> tuple[float, int]:
        """Return the sums of these requests: dollars and tokens."""
        cost, tokens = 0.0, 0
        for name in names_in(f"{self.dir}/open"):
            with contextlib.suppress(OSError, ValueError):
                words = read_raw(f"{self.dir}/open/{name}").split() if is_id(name) else []
                cost, tokens = cost + float(words[1]), tokens + int(words[0])
        return cost, tokens
