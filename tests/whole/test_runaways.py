"""Running agents that are watched: stopped at a full context, killed when they go astray, ended past the hard cap."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.harness import FAKE_AGENT, SILENT

if TYPE_CHECKING:
    from tests.kit.harness import Project

pytestmark = pytest.mark.sample(1)

CONTEXT = {"event": {"type": "assistant"}, "used": ["usage.window"]}
WATCH = {"error": {"type": "error"}, "request": {"type": "assistant"}}
STEPS = {"event": {"type": "step"}, "scope": "event", "tokens": ["usage.input", "usage.output"], "cost": "cost"}


def watched(project: Project, limits: dict[str, Any] | None = None, **agent: Any) -> None:
    project.configure(
        limits=limits or {},
        profiles={"default": {"window": 100_000, "context_stop": 0.85}},
        agents={"fake": {"context": CONTEXT, "watch": WATCH, **agent}},
    )


def kill_of(project: Project, task_id: str, attempt: int = 1, step: str = "agent") -> dict[str, Any]:
    kill: dict[str, Any] = project.attempts(task_id)[attempt - 1][f"{step}.kill"]
    return kill


@pytest.mark.parametrize(("how", "left"), [("file", "the rest. In a file."), ("print", "Remaining: the rest.")])
def test_a_full_context_is_handed_on(project: Project, how: str, left: str) -> None:
    watched(project)
    project.plans(a=f"grow:{how},recover")
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.outcomes("a") == ["context_full", "ok"]
    assert project.modes("a") == ["first", "repair"]
    assert kill_of(project, "a")["why"] == "context"
    assert "90000 of 100000 tokens" in kill_of(project, "a")["detail"]
    first, handoff, second = project.ledger()
    assert [start.mode for start in (first, handoff, second)] == ["first", "handoff", "repair"]
    assert handoff.tree == first.tree == second.tree
    assert first.session != second.session, "a fresh conversation"
    prompt = project.prompt("a", 2)
    assert "stopped because its context was full" in prompt
    assert f"Done: half of a. {left}" in prompt or left in prompt
    facts = project.attempts("a")[0]
    assert facts["agent.end"]["changed"] == ["a.txt.part"], "its work so far is kept"
    assert first.session in facts["agent-2.plan"]["argv"], "the same conversation was asked"
    assert b"at most 600 words" in project.log("a", 1, "handoff-prompt.md")
    assert project.processes() == []


@pytest.mark.parametrize("how", ["crash", "hang"])
def test_a_handoff_that_fails_is_done_without(project: Project, how: str) -> None:
    watched(project, {"handoff_minutes": 0.005})
    project.plans(a=f"grow:{how},recover")
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.outcomes("a") == ["context_full", "ok"]
    assert "It left no handoff" in project.prompt("a", 2)
    assert "prompt is too long" not in project.prompt("a", 2)
    if how == "hang":
        assert kill_of(project, "a", step="agent-2")["why"] == "timeout"


def test_a_conversation_without_room_for_a_turn_is_not_asked(project: Project) -> None:
    """The turn would end in the same error: what was changed and said stands for the handoff."""
    watched(project)
    project.configure(profiles={"default": {"window": 91_000}})
    project.plans(a="grow,recover")
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.outcomes("a") == ["context_full", "ok"]
    assert "agent-2.plan" not in project.attempts("a")[0]
    assert "It left no handoff" in project.prompt("a", 2)
    assert "Files it changed: a.txt.part" in project.prompt("a", 2)


def test_no_handoff_where_nobody_can_be_asked(project: Project) -> None:
    watched(project, resume=None)
    project.plans(a="grow,recover")
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.outcomes("a") == ["context_full", "ok"]
    assert "agent-2.plan" not in project.attempts("a")[0]
    watched(project, {"handoff_minutes": 0}, resume=["unused"])
    project.plans(b="grow,recover")
    assert project.settle() == {"b": "DONE"}, project.story()
    assert "agent-2.plan" not in project.attempts("b")[0]


def test_who_ends_well_when_told_to_stop_has_finished(project: Project) -> None:
    watched(project, {"stop_grace_s": 60})
    project.plans(a="grow:late")
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.outcomes("a") == ["ok"]
    assert kill_of(project, "a")["why"] == "context"


def test_a_context_that_the_agent_itself_calls_full_gets_no_turn(project: Project) -> None:
    watched(project)
    project.plans(a="full,ok")
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.outcomes("a") == ["context_full", "ok"]
    assert [start.mode for start in project.ledger()] == ["first", "repair"]
    assert "It left no handoff" in project.prompt("a", 2)


def test_twice_is_a_task_to_be_split(project: Project) -> None:
    watched(project)
    project.plans(a="grow:file")
    assert project.settle() == {"a": "FAILED"}, project.story()
    assert project.outcomes("a") == ["context_full", "context_full"]
    assert "split this task" in project.table()["a"]["note"]


def test_what_was_to_be_repaired_is_not_forgotten(project: Project) -> None:
    watched(project)
    project.plans(a="wrong,grow:file,recover")
    assert project.settle() == {"a": "DONE"}, project.story()
    prompt = project.prompt("a", 3)
    assert "It left this handoff" in prompt
    assert "Its own task was to fix this:\n\n$ grep" in prompt


def test_what_the_handoff_costs_counts(project: Project) -> None:
    watched(project, usage={**STEPS, "event": {"type": "re:step|result"}})
    project.plans(a="grow:file,recover")
    assert project.settle() == {"a": "DONE"}, project.story()
    end = project.attempts("a")[0]["agent.end"]
    assert end["tokens"] == 9 * 110 + 1000
    assert end["cost"] == pytest.approx(9 * 0.01 + 0.25)


PRICED: dict[str, Any] = {
    "usage": STEPS,
    "command": [sys.executable, "-IS", FAKE_AGENT, "{flags}"],
    "resume": None,
    "flags": {"model": ["--m", "{value}"]},
    "prices": [{"model": "m-1", "as_of": "2026-11", "input": 2.0, "cache_write": 4.0, "output": 9.0}],
}  # fmt: skip


@pytest.mark.parametrize("budget", [{"run_tokens": 90_000}, {"run_cost_usd": 0.4}, {"task_cost_usd": 0.4}])
def test_a_request_in_flight_at_a_kill_counts_for_budgets_as_an_upper_bound(
    project: Project, budget: dict[str, float]
) -> None:
    watched(project, {**budget, "handoff_minutes": 0}, **PRICED)
    project.configure(slots=1, profiles={"default": {"model": "m-1"}})
    project.plans(a="grow")
    project.dispatch()
    assert next(iter(budget)) in project.loop().stderr + project.table()["a"]["note"]
    assert project.outcomes("a") == ["context_full"]
    end = project.attempts("a")[0]["agent.end"]
    assert end["in_flight"]["cache_write"] == 90_000, "as much as the context held"
    assert end["in_flight"]["cost"] == pytest.approx(0.36)
    assert (project.table()["a"]["tokens"], project.table()["a"]["cost"]) == ("990", "0.0900"), "what is known"
    assert "up to 90,000 tokens more, $0.36" in project.run("show", "a").stdout
    assert "up to 90,000 tokens more" in project.run("status").stdout


def test_a_first_request_in_flight_is_as_large_as_its_prompt(project: Project) -> None:
    watched(project, {"idle_minutes": 0.005}, **PRICED)
    project.configure(retry={"resumes": 0, "repairs": 0, "restarts": 0})
    project.plans(a="hang", b="ok")
    assert project.settle() == {"a": "FAILED", "b": "DONE"}, project.story()
    size = len(project.prompt("a", 1))
    assert size // 4 <= project.attempts("a")[0]["agent.end"]["in_flight"]["cache_write"] <= size
    assert not project.attempts("b")[0]["agent.end"].get("in_flight"), "it ended by itself"


KEPT: dict[str, Any] = {
    "transcript": {"files": ["{dir}/kept-{session}.jsonl"]},
    "transcript_usage": {
        "event": {"type": "kept"}, "scope": "event", "key": "id", "input": ["usage.input"], "model": "model",
    },
    "prices": [{"model": "fake-.*", "as_of": "2026-11", "input": 0.5, "output": 1.0}],
}  # fmt: skip


def test_a_context_that_only_the_transcript_tells(project: Project) -> None:
    watched(project, context={**CONTEXT, "event": {"type": "kept"}, "from": "transcript"}, usage=None, **KEPT)
    project.plans(a="keep,recover")
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.outcomes("a") == ["context_full", "ok"]
    assert "It left this handoff" in project.prompt("a", 2)
    end = project.attempts("a")[0]["agent.end"]
    assert end["tokens"] == 9_000_000
    assert end["spent"]["estimated"]


def test_money_that_only_the_transcript_tells(project: Project) -> None:
    watched(project, {"task_cost_usd": 4, "unknown_cost": "allow"}, context=None, usage=None, **KEPT)
    project.plans(a="keep")
    assert project.settle() == {"a": "FAILED"}, project.story()
    assert "over limits.task_cost_usd (4.50 of 4.00)" in project.table()["a"]["note"]


def test_a_person_may_stop_in_the_middle_of_a_handoff(project: Project) -> None:
    watched(project)
    project.plans(a="grow:hang,recover")
    project.dispatch()
    project.poll_until(lambda: len(project.ledger()) == 2, what="the handoff is asked for")
    project.edit("a", status="SKIPPED")
    assert project.loop().last == 2
    assert project.outcomes("a") == ["stopped"]
    assert project.attempts("a")[0]["agent.end"]["changed"] == ["a.txt.part"], "its work is kept all the same"
    assert project.processes() == []


def test_the_same_error_again_and_again(project: Project) -> None:
    watched(project, {"same_errors": 12})
    project.plans(a="errors:12,ok", b="errors:36/11")
    assert project.settle() == {"a": "DONE", "b": "DONE"}, project.story()
    assert project.outcomes("a") == ["runaway", "ok"]
    assert project.outcomes("b") == ["ok"], "something came between"
    detail = project.attempts("a")[0]["result"]["detail"]
    assert detail == "ended: the same error 12 times: Malformed answer (request 11)"


def test_who_tries_again_for_ever_is_ended_and_its_account_pauses(project: Project) -> None:
    watched(project, watch=WATCH | {"retry": "^retry [0-9]+: "})
    project.plans(a="retries:in 2 hours")
    project.dispatch()
    project.poll_until(lambda: project.state("pauses"))
    pause = project.state("pauses")["fake"]
    assert pause["outcome"] == "limit"
    assert 7000 < pause["until"] - pause["at"] < 7260
    assert kill_of(project, "a")["why"] == "trouble"
    assert project.outcomes("a") == ["limit"]
    assert project.statuses()["a"] == "TODO", "no attempt is spent"
    assert project.processes() == []


@pytest.mark.slow
def test_zero_turns_the_watch_for_errors_off(project: Project) -> None:
    watched(project, {"same_errors": 0, "idle_minutes": SILENT})
    project.plans(a="errors:50,ok")
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.outcomes("a") == ["stalled", "ok"]


def test_many_requests_without_an_edit(project: Project) -> None:
    watched(project, {"idle_requests": 20})
    project.plans(a="requests:25,ok", b="requests:75/15")
    assert project.settle() == {"a": "DONE", "b": "DONE"}, project.story()
    assert project.outcomes("a") == ["runaway", "ok"]
    assert "requests without an edit" in project.attempts("a")[0]["result"]["detail"]
    assert project.outcomes("b") == ["ok"], "it edited all the while"


def test_without_a_tree_nobody_looks_for_edits(project: Project) -> None:
    watched(project, {"idle_requests": 20, "idle_minutes": SILENT})
    project.configure(workspace={"kind": "none"}, profiles={"default": {"verify": [], "require_change": False}})
    project.plans(a="requests:40,free")
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.outcomes("a") == ["stalled", "ok"]


def test_more_than_the_task_may_cost(project: Project) -> None:
    watched(project, {"task_cost_usd": 0.2}, usage=STEPS)
    project.plans(a="spend:0.3", b="spend:0.1,ok")
    project.configure(limits={"idle_minutes": SILENT})
    assert project.settle() == {"a": "FAILED", "b": "DONE"}, project.story()
    assert project.outcomes("a") == ["runaway"]
    assert "over limits.task_cost_usd (0.30 of 0.20)" in project.table()["a"]["note"]


def test_past_the_hard_cap_running_agents_are_ended(project: Project) -> None:
    watched(project, {"run_cost_usd": 0.2, "hard_cap": 1.5}, usage=STEPS)
    project.plans(a="spend:0.2,recover", b="spend:0.2,recover", c="spend:0.2,recover")
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3, project.story()
    assert "limits.run_cost_usd is spent" in looped.stderr
    started = [task for task in "abc" if project.starts()[task]]
    assert len(started) >= 2
    assert {outcome for task in started for outcome in project.outcomes(task)} == {"stopped"}
    assert kill_of(project, started[0])["why"] == "over_budget"
    assert project.processes() == []
    project.configure(limits={"run_cost_usd": 10})
    assert project.loop().last == 2
    assert set(project.statuses().values()) == {"DONE"}, project.story()
    assert project.modes(started[0]) == ["first", "resume"], "taken up from there"


def test_below_the_hard_cap_they_go_on(project: Project) -> None:
    watched(project, {"run_cost_usd": 0.2, "hard_cap": 3}, usage=STEPS)
    project.configure(slots=2, limits={"idle_minutes": SILENT})
    project.plans(a="spend:0.2,ok", b="spend:0.2,ok", c="spend:0.2,ok")
    project.dispatch()
    assert project.loop().last == 3
    assert project.outcomes("a") + project.outcomes("b") == ["stalled", "stalled"], project.story()
    assert project.starts()["c"] == 0, "and nothing new is started, whatever they say at their end"


def test_what_it_knows_of_an_agent_is_small_and_read_on(project: Project) -> None:
    watched(project, usage=STEPS)
    project.plans(a="grow:file,recover")
    assert project.settle() == {"a": "DONE"}
    state = project.attempts("a")[0]["agent.watch"]
    assert state["output"]["offset"] == len(project.log("a", 1))
    assert state["said"]["used"] == 90_000
    assert state["said"]["requests"] == 9
