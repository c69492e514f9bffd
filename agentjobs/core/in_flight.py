"""The total context of running agents: which attempts may start under ``limits.tokens_in_flight``. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.model.decisions import Begin
from agentjobs.model.facts import Made, Over
from agentjobs.model.steps import Running, StepKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentjobs.model.facts import Attempt
    from agentjobs.model.tasks import Task

    Expected = Callable[[Task, Begin], int]
    """How many tokens an attempt of a task that starts like this will hold at least."""


class Flight:
    """The tokens in flight in one pass, and whether one more attempt may start.

    Once one attempt does not fit, no lower-ranked one starts in this pass; otherwise small tasks could starve a large
    one. If nothing is in flight, the first attempt starts, however large it is.
    """

    def __init__(self, cap: int | None, tasks: Iterable[Task], expected: Expected) -> None:
        self.full = False
        """An attempt has to wait until others have ended."""
        self._cap = cap
        self._expected = expected
        self._held = [held_by(task, expected) for task in tasks if _flies(task.last)] if cap is not None else []

    def admit(self, task: Task, begin: Begin) -> int | None:
        """Return the tokens that an attempt is expected to hold (0 without a cap); None if it has to wait."""
        if self._cap is None:
            return 0
        if self.full:
            return None
        context = max(0, self._expected(task, begin))
        if self._held and sum(self._held) + context > self._cap:
            self.full = True
            return None
        self._held.append(context)
        return context


def held_by(task: Task, expected: Expected) -> int:
    """Return the tokens in the window of a running attempt: as measured, but at least as many as expected.

    An attempt that started before there was a cap has no expected value; it is computed here.
    """
    last = task.attempts[-1]
    intent = last.intent
    context = intent.context
    if not context:
        before = replace(task, attempts=task.attempts[:-1])
        context = expected(before, Begin(intent.mode, intent.fresh, intent.why, intent.profile))
    agents = (step.state for step in last.steps if step.kind is StepKind.AGENT)
    return max(0, context, *(phase.gauge.used for phase in agents if isinstance(phase, Running)))


def _flies(attempt: Attempt | None) -> bool:
    """Return True if an attempt holds an agent slot: its agent runs, is about to, or its end is not written yet."""
    return attempt is not None and not isinstance(attempt, Made | Over)
