"""Facts, tasks and policies for tests of the pure core. What a test does not name has a plain value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentjobs.core.decide import decide
from agentjobs.model.facts import AgentEnd, Attempt, Intent, Mode, Over, Result, attempt_of
from agentjobs.model.steps import Exited, Running, Step, StepKind
from agentjobs.model.tasks import Row, Status, Task
from agentjobs.policy.agents import Agent
from agentjobs.policy.limits import Limits, Retry
from agentjobs.policy.policy import Policy, Profile

if TYPE_CHECKING:
    from agentjobs.model.decisions import Decision
    from agentjobs.model.outcomes import Outcome
    from agentjobs.model.steps import Kill, StepState

NOW = 1_000_000.0
MINUTE = 60.0
LIVE = Running(1, NOW)
ROW = Row("t", 2, Status.TODO)


def policy(**more: Any) -> Policy:
    """Return a policy with two profiles; ``more`` replaces fields of it, of limits or of retry.

    ``accounts=2`` adds a second agent on the same account, and one on another.
    """
    limits = {k: more.pop(k) for k in list(more) if k in Limits.__struct_fields__}
    retry = {k: more.pop(k) for k in list(more) if k in Retry.__struct_fields__}
    base: dict[str, Any] = {
        "slots": 3,
        "limits": Limits(**{"start_interval_s": 0.0, "breaker": 0, **limits}),
        "retry": Retry(**retry),
        "profiles": {
            "default": Profile(agent="a", verify=("check",), escalate="strong"),
            "strong": Profile(agent="a", verify=("check",)),
        },
        "agents": {"a": Agent(command=("x",), resume=("x", "{session}"))},
    }
    if more.pop("accounts", 1) > 1:
        base["profiles"] |= {
            "shared": Profile(agent="same", verify=("check",), escalate="strong"),
            "other": Profile(agent="b", verify=("check",), escalate="default"),
        }
        base["agents"] |= {
            "same": Agent(command=("x",), account="a"),
            "b": Agent(command=("x",), resume=("x", "{session}"), account="bills"),
        }
    return Policy(**{**base, **more})


POLICY = policy(
    profiles={"default": Profile(agent="a", verify=("check",))},
    agents={"a": Agent(command=("x",), resume=("x", "{session}"), stop=("INT", "TERM"))},
)
"""One profile, and an agent that gets two signals before it is killed."""


def step(kind: StepKind, state: StepState, name: str = "", kill: Kill | None = None, at: float = NOW) -> Step:
    return Step(name or kind.value, kind, state, at, kill)


def agent(state: StepState, kill: Kill | None = None, at: float = NOW) -> Step:
    return step(StepKind.AGENT, state, kill=kill, at=at)


def attempt(
    *steps: Step,
    task: str = "t",
    number: int = 1,
    end: Outcome | None = None,
    result: Outcome | None = None,
    at: float = NOW,
    started: float = NOW,
    signature: str = "",
    tree: str = "",
    cost: float = 0.0,
    **intent: Any,
) -> Attempt:
    """Return an attempt with these steps; without any, its agent has ended.

    ``end`` is how its agent ended, ``result`` how the attempt did, both at ``at``; ``intent`` are fields of it.
    """
    given: dict[str, Any] = {
        "mode": Mode.FIRST, "profile": "default", "agent": "a", "session": "s", "base": "b", "checks": ("check",),
    }  # fmt: skip
    began = Intent(task, number, 1, started_at=started, why="", **given | intent)
    ended = AgentEnd(end, at) if end else None
    over = Result(result, at, signature=signature, tree=tree, cost=cost) if result else None
    return attempt_of(began, steps or (agent(Exited(0, NOW)),), ended, over)


def over(result: Outcome, *steps: Step, **more: Any) -> Over:
    """Return an attempt with this result."""
    found = attempt(*steps, result=result, **more)
    assert isinstance(found, Over)
    return found


def history(*outcomes: Outcome, **more: Any) -> tuple[Over, ...]:
    """Return one attempt for each outcome."""
    return tuple(over(outcome, number=n, **more) for n, outcome in enumerate(outcomes, 1))


def task(*attempts: Attempt, wish: Status | None = None, in_play: bool = True, earlier: int = 0) -> Task:
    return Task(ROW, 1, attempts, earlier, wish, in_play)


def task_at(
    name: str,
    outcome: Outcome | None = None,
    *,
    files: tuple[str, ...] = (),
    step: Step | None = None,
    end: Outcome | None = None,
    at: float = NOW - 1000,
    in_play: bool = True,
    times: int = 1,
    **intent: Any,
) -> Task:
    """Return a task whose attempts came to ``outcome`` each, or whose one attempt is at ``step``."""
    steps: tuple[Step, ...] = (agent(Exited(0, at), at=at),) if step is None or end else ()
    steps += (step,) if step else ()
    made = (
        attempt(*steps, task=name, number=n, end=end, result=outcome, at=at, started=at, **intent)
        for n in range(1, times + 1)
    )
    return Task(Row(name, 2, Status.TODO, files=files), 1, tuple(made), in_play=in_play)


def rows(*names: str, **fields: Any) -> list[Row]:
    """Return a row for each name, all with these fields."""
    return [Row(name, 2, Status.TODO, **fields) for name in names]


def ask(*attempts: Attempt, now: float = NOW + 1000, policy: Policy = POLICY) -> Decision:
    """Return the decision for a task with these attempts."""
    return decide(task(*attempts), policy, now)
