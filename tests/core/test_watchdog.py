"""When running agents are ended: the pure core alone, and the look at a tree."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from agentjobs.agents.classify import classify, last_text
from agentjobs.core.board import Board
from agentjobs.core.budget import Spent, past_hard_cap, with_running
from agentjobs.core.repetition import oscillating
from agentjobs.core.schedule import schedule
from agentjobs.core.watchdog import watch
from agentjobs.model.decisions import Action, Begin, Conclude, End, Judge, Launch, Wait
from agentjobs.model.facts import Mode
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited, Gauge, Kill, KillReason, Lost, Prepared, Running, Step, StepKind
from agentjobs.model.tasks import Row, Status, Task
from agentjobs.policy.limits import Limits
from agentjobs.workspace.being_edited import edits_in
from tests.kit.builders import MINUTE, NOW, POLICY, agent, ask, attempt, history
from tests.kit.repositories import make_repository

if TYPE_CHECKING:
    from pathlib import Path

    from agentjobs.policy.policy import Policy

WINDOW = 200_000


def running(**gauge: object) -> Running:
    return Running(1, NOW, gauge=Gauge(**gauge))  # type: ignore[arg-type]


def limited(**limits: object) -> Policy:
    return replace(POLICY, limits=Limits(breaker=0, **limits))  # type: ignore[arg-type]


def second(state: Running | Exited | Lost | Prepared, kill: Kill | None = None) -> Step:
    return Step("agent-2", StepKind.AGENT, state, NOW, kill)


@pytest.mark.parametrize(
    ("trouble", "silent_s", "why"),
    [
        ("limit", 119.0, ""),
        ("limit", 121.0, "trouble"),
        ("auth", 121.0, "trouble"),
        ("overloaded", 121.0, ""),
        ("", 121.0, ""),
    ],
)
def test_an_agent_that_waits_in_silence_for_the_end_of_a_limit_is_ended(
    trouble: str, silent_s: float, why: str
) -> None:
    """Some say once that a limit is reached, and then sleep for as long as it lasts: three hours of a slot."""
    state = running(trouble=trouble, troubles=1, told="5 hour usage limit reached. Resets in 3h34m5s.")
    found = watch(attempt(agent(state)), agent(state), POLICY, NOW + silent_s)
    assert (found.why if isinstance(found, End) else "") == why
    if isinstance(found, End):
        assert found.detail == f"{trouble}: 5 hour usage limit reached. Resets in 3h34m5s."


FULL = agent(Exited(143, NOW), kill=Kill(KillReason.CONTEXT_FULL, NOW))


# --- decide


@pytest.mark.parametrize(
    ("gauge", "why", "hard", "words"),
    [
        ({"used": 170_000}, "context", False, "170000 of 200000 tokens"),
        ({"used": 85, "window": 100}, "context", False, "85 of 100 tokens"),
        ({"errors": 20, "error": "Overloaded"}, "same_error", True, "the same error 20 times: Overloaded"),
        ({"idle": 300}, "runaway", True, "300 requests without an edit"),
        ({"cost": 0.51}, "runaway", True, "over limits.task_cost_usd (0.51 of 0.50)"),
    ],
)
def test_it_is_ended_when(gauge: dict[str, object], why: str, hard: bool, words: str) -> None:
    policy = limited(task_cost_usd=0.5)
    end = ask(attempt(agent(running(**gauge))), now=NOW, policy=policy)
    assert isinstance(end, End)
    assert (end.step, end.why, end.hard) == ("agent", why, hard)
    assert words in end.detail
    done = ask(attempt(agent(running(**gauge, final=True))), now=NOW, policy=policy)
    assert isinstance(done, Wait), "an agent after its last event may end by itself"


@pytest.mark.parametrize(
    "gauge", [{"used": 169_999}, {"used": 84, "window": 100}, {"errors": 19}, {"idle": 299}, {"cost": 0.5}]
)
def test_it_is_left_alone_below_that(gauge: dict[str, object]) -> None:
    assert isinstance(ask(attempt(agent(running(**gauge))), now=NOW, policy=limited(task_cost_usd=0.5)), Wait)


def test_zero_turns_each_off() -> None:
    policy = limited(same_errors=0, idle_requests=0)
    assert isinstance(ask(attempt(agent(running(errors=10**6, idle=10**6))), now=NOW, policy=policy), Wait)


def test_what_earlier_attempts_cost_counts() -> None:
    first = attempt(number=1, result=Outcome.CRASHED, cost=0.4)
    now = attempt(agent(running(cost=0.2)), number=2)
    end = ask(first, now, now=NOW, policy=limited(task_cost_usd=0.5))
    assert isinstance(end, End)
    assert "0.60 of 0.50" in end.detail


def test_the_polite_signals_keep_the_cause() -> None:
    live = agent(running(used=170_000), kill=Kill(KillReason.CONTEXT_FULL, NOW, detail="its context is full"))
    assert ask(attempt(live), now=NOW + 10) == End(
        "agent", KillReason.CONTEXT_FULL, hard=False, detail="its context is full"
    )
    assert isinstance(ask(attempt(live), now=NOW + 5), Wait)


def test_a_handoff_is_written_then_the_whole_is_judged() -> None:
    assert ask(attempt(FULL)) == Judge()
    assert ask(attempt(FULL, second(Prepared()))) == Launch("agent-2", StepKind.AGENT)
    for over in (Exited(0, NOW), Exited(1, NOW), Lost(NOW)):
        assert ask(attempt(FULL, second(over))) == Judge()
    assert ask(attempt(FULL, second(Exited(0, NOW)), end=Outcome.CONTEXT_FULL)) == Conclude(Outcome.CONTEXT_FULL)


def test_a_clock_runs_for_a_handoff() -> None:
    live = attempt(FULL, second(running(used=190_000)))
    assert isinstance(ask(live, now=NOW + 5 * MINUTE - 1), Wait), "it was asked because of its full context"
    assert ask(live, now=NOW + 5 * MINUTE) == End("agent-2", KillReason.TIMEOUT, hard=False)
    astray = attempt(FULL, second(running(errors=20)))
    assert isinstance(ask(astray, now=NOW), End)


def test_a_full_context_is_no_failure_of_the_tree_it_left() -> None:
    full, wrong = history(Outcome.CONTEXT_FULL, Outcome.VERIFY_FAILED, tree="t", signature="s")
    assert not oscillating((full, wrong))
    begin = ask(full, wrong)
    assert isinstance(begin, Begin)
    assert begin.mode is Mode.REPAIR


@pytest.mark.parametrize(
    ("why", "outcome"),
    [("context", Outcome.CONTEXT_FULL), ("runaway", Outcome.RUNAWAY), ("over_budget", Outcome.STOPPED)],
)
def test_its_class(why: str, outcome: Outcome) -> None:
    for state in (Exited(143, NOW), Lost(NOW)):
        kill = Kill(KillReason(why), NOW, detail="as it was said")
        verdict = classify(
            state=state, kill=kill, output=b"x\n", output_bytes=2, rules=(), now=NOW
        )
        assert verdict.outcome is outcome
        assert verdict.detail.endswith(": as it was said")


# --- schedule: the hard cap


def task(name: str, step: Step, **more: object) -> Task:
    return Task(Row(name, 2, Status.IN_PROGRESS), 1, (attempt(step, **more),))  # type: ignore[arg-type]


def test_past_the_hard_cap_everybody_is_ended() -> None:
    policy = limited(run_cost_usd=1.0, hard_cap=1.5)
    tasks = (
        task("a", agent(running(cost=0.7))),
        task("b", agent(running(cost=0.3))),
        task("c", agent(running(final=True))),
        task("d", agent(Running(1, NOW), kill=Kill(KillReason.TIMEOUT, NOW))),
        task("e", Step("verify", StepKind.VERIFY, Running(1, NOW), NOW), end=Outcome.OK),
    )
    spent = with_running(Spent(cost=0.5), tasks)
    assert spent.cost == pytest.approx(1.5)
    made = schedule(Board(tasks=tasks, spent=spent), lambda _: (), policy, NOW)
    detail = "limits.run_cost_usd is exceeded (1.50 of 1.00)"
    end = End("agent", KillReason.OVER_BUDGET, hard=False, detail=detail)
    assert made.actions == tuple(Action(i, end) for i in "ab")
    assert made.alive
    below = schedule(Board(tasks=tasks, spent=Spent(cost=1.49)), lambda _: [Row("n", 9, Status.TODO)], policy, NOW)
    assert below.actions == (), "but nothing new is started"


def test_tokens_have_a_hard_cap_too() -> None:
    limits = Limits(run_tokens=1000)
    assert past_hard_cap(limits, Spent(tokens=1249)) == ""
    assert past_hard_cap(limits, Spent(tokens=1250)) == "limits.run_tokens is exceeded (1250 of 1000)"
    assert past_hard_cap(Limits(), Spent(1e9, 10**12)) == ""


# --- what a handoff said


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (b"", ""),
        (b"\x1b[1mplain words\x1b[0m of an agent\n", "plain words of an agent"),
        (b'{"type":"result","result":"Done: one of the two."}\n', "Done: one of the two."),
        (b'{"type":"x","text":"Done: one of two, really."}\nwarn\n{"text":"ok"}\n', "Done: one of two, really."),
        (
            b'{"message":{"content":[{"type":"text","text":"Done: this."},{"type":"text","text":"And that."}]}}\n',
            "Done: this.\nAnd that.",
        ),
        (b'{"type":"turn","usage":{"in":1}}\n', ""),
    ],
)
def test_the_last_text(output: bytes, text: str) -> None:
    assert last_text(output) == text


# --- the tree


def test_every_edit_is_seen_and_looking_is_none(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    git = make_repository(tree)

    def digest() -> str:
        found = edits_in(git, tree)
        assert found is not None
        return found.digest

    def changes(what: str) -> None:
        now = digest()
        assert now not in known, what
        assert digest() == now, "a look changes nothing"
        known.add(now)

    index = (tree / ".git/index").stat().st_mtime_ns
    known = {digest()}
    (tree / "new").write_text("1")
    changes("a new file")
    (tree / "new").write_text("2")
    os.utime(tree / "new", ns=(1, 1))
    changes("another content, whatever time it pretends")
    (tree / "a.txt").write_text("changed")
    changes("a tracked file")
    (tree / "a.txt").unlink()
    changes("a file gone")
    (tree / "ä b\n").write_text("odd")
    changes("an odd name")
    assert (tree / ".git/index").stat().st_mtime_ns == index
    git.run("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qam", "more", cwd=tree)
    changes("a commit")


def test_when_the_newest_edit_was_made(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    git = make_repository(tree)
    clean = edits_in(git, tree)
    assert clean is not None
    (tree / "new").write_text("1")
    edited = edits_in(git, tree)
    assert edited is not None
    assert edited.newest_at == pytest.approx((tree / "new").stat().st_ctime, abs=0.01)
    shutil.rmtree(tree)
    assert edits_in(git, tree) is None
