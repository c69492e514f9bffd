"""``plan`` in a simulated world: what must hold for all tasks together, whatever agents, people and kills do."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.agents import Agent
from agentjobs.decide import SIGNATURE_RUN_MAX
from agentjobs.limits import Limits, Retry
from agentjobs.model import (
    AgentEnd,
    Attempt,
    Begin,
    Conclude,
    Exited,
    Halt,
    Intent,
    Judge,
    Land,
    Launch,
    Lost,
    Mode,
    Outcome,
    Pause,
    Result,
    Row,
    Running,
    Settle,
    Status,
    Step,
    StepKind,
    Task,
)
from agentjobs.plan import Board, History, Spent, jitter, pause_after, pays, plan, sweep_due
from agentjobs.policy import Landing, Policy, Profile, Workspace
from tests.simulation import Odds, World

NOW = 1_000_000.0


def policy(**more: object) -> Policy:
    """Return a policy with two profiles; ``more`` replaces fields of it, of limits or of retry."""
    limits = {k: more.pop(k) for k in list(more) if k in Limits.__struct_fields__}
    retry = {k: more.pop(k) for k in list(more) if k in Retry.__struct_fields__}
    base: dict[str, object] = {
        "slots": 3,
        "limits": Limits(**{"start_interval_s": 0.0, "breaker": 0, **limits}),
        "retry": Retry(**retry),
        "profiles": {
            "default": Profile(agent="a", verify=("check",), escalate="strong"),
            "strong": Profile(agent="a", verify=("check",)),
        },
        "agents": {"a": Agent(command=("x",), resume=("x", "{session}"))},
    }
    return Policy(**{**base, **more})  # type: ignore[arg-type]


# --- whole runs


def world(seed: int) -> World:
    """Return a world in which everything depends on the seed."""
    random = Random(seed)
    files = ["", "", "a", "a/b", "c", "a/**", "c d"]
    rows: list[Row] = []
    for number in range(random.randint(1, 9)):
        claim = random.choice(files)
        after = tuple(row.id for row in rows if random.random() < 0.15)
        rows.append(Row(f"t{number}", number + 2, Status.TODO, after, (claim,) if claim else ()))
    odds = Odds(
        ok=random.choice([0.0, 0.3, 0.6, 1.0]),
        trouble=random.choice([0.0, 0.05, 0.3]),
        hang=random.choice([0.0, 0.1, 0.5]),
        check_fails=random.choice([0.0, 0.3, 1.0]),
        lost=random.choice([0.0, 0.1, 0.5]),
        conflict=random.choice([0.0, 0.3]),
        poll_killed=random.choice([0.0, 0.3]),
        meddling=random.choice([0.0, 0.0, 0.3]),
        clock_back=random.choice([0.0, 0.0, 0.02]),
        same_error=random.choice([0.0, 0.3]),
        cost=random.choice([0.0, 1.0, 8.0]),
    )
    made = policy(
        slots=random.randint(1, 4),
        verify_slots=random.randint(1, 2),
        start_interval_s=random.choice([0.0, 0.5, 3.0]),
        breaker=random.choice([0, 0, 3]),
        run_attempts=random.choice([None, None, 7]),
        run_cost_usd=random.choice([None, None, 5.0]),
        task_attempts=random.choice([None, None, 2]),
        resumes=random.randint(0, 3),
        repairs=random.randint(0, 3),
        restarts=random.randint(0, 2),
        diagnose_above=random.choice([0.1, 1.0]),
        workspace=Workspace(
            kind=random.choice(["worktree", "worktree", "none"]), setup=random.choice([None, "setup"])
        ),
        landing=Landing(enabled=random.random() < 0.8, gate=random.choice([(), ("gate",)])),
    )
    return World(random.randint(0, 2**32), made, rows, odds)


@settings(max_examples=250, deadline=None)
@given(st.integers(0, 2**40))
def test_every_run_ends_and_keeps_its_promises(seed: int) -> None:
    world(seed).run()
