"""A run that is watched: what each turn came to, for a view that knows nothing of engines."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from agentjobs.model.errors import UserError
from agentjobs.model.tasks import Status
from agentjobs.project.events import Transitions
from agentjobs.run.drive import run
from agentjobs.views.status import Live, live_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentjobs.model.facts import Json
    from agentjobs.project.project import Project
    from agentjobs.run.engine import Engine, Turn

    Show = Callable[[Mapping[str, int], Sequence[Live], Sequence[Json], str], None]

EVERY_S = 0.25
"""A view is told at most so often: to count 100,000 rows takes its time."""


class Watch:
    """Tells a view of turns."""

    def __init__(self, project: Project, show: Show) -> None:
        self.store = project.store
        self._show = show
        self._events = Transitions(project.store.dir / "events.jsonl")
        self._told_at = 0.0

    def __call__(self, turn: Turn, engine: Engine) -> None:
        """Take note of one turn; the last one is always told."""
        now = time.monotonic()
        if not turn.code and now - self._told_at < EVERY_S:
            return
        self._told_at = now
        found = Counter(engine.statuses.values())
        counts = {status.value: found[status] for status in Status}
        why = "" if turn.code else turn.why  # of a halt the command speaks itself, at the end
        self._show(counts, self._live(turn.running), self._events.read(), why)

    def _live(self, ids: Sequence[str]) -> list[Live]:
        found = []
        for task_id in ids:
            numbers = self.store.numbers(task_id)
            attempt = self.store.attempt(task_id, numbers[-1]) if numbers else None
            live = live_of(attempt) if attempt else None
            if live is not None:
                found.append(live)
        return found


def watched(project: Project, watch: Watch, *, lock_timeout_s: float) -> Turn:
    """Run until nothing is left or a person is needed. UserError before anything was put in play."""
    if not project.store.exists():
        raise UserError("nothing is in play yet; `agentjobs dispatch` says what is and starts it")
    return run(project, lock_timeout_s=lock_timeout_s, watch=watch)
