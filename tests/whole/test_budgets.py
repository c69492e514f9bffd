"""Budgets, the breaker and layer 3: what stops a run from burning money, and what starts over."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.kit.harness import FAKE_AGENT

if TYPE_CHECKING:
    from tests.kit.harness import Project

pytestmark = pytest.mark.sample(1)

COMMAND = [sys.executable, "-IS", FAKE_AGENT, "{flags}"]
NO_RETRY = {"resumes": 0, "repairs": 0, "restarts": 0}


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("limits", "most"),
    [({"run_cost_usd": 0.75}, 4), ({"run_tokens": 3000}, 4), ({"run_attempts": 4}, 4)],
    ids=["cost", "tokens", "attempts"],
)
def test_a_spent_budget_starts_nothing_more(project: Project, limits: dict[str, float], most: int) -> None:
    project.configure(slots=2, limits=limits)
    project.plans(**dict.fromkeys("abcdef", "cost:0.25"))
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3
    assert next(iter(limits)) in looped.stderr
    assert "agentjobs.toml" in looped.stderr
    assert 3 <= project.starts().total() <= most
    statuses = project.statuses()
    assert list(statuses.values()).count("DONE") == project.starts().total(), "what runs is finished and landed"
    project.configure(limits=dict.fromkeys(limits))
    assert project.loop().last == 2
    assert set(project.statuses().values()) == {"DONE"}


def test_a_budget_that_ends_before_layer_3_is_no_end_of_the_work(project: Project) -> None:
    """A task that waits to start over is not settled: 3, not 2."""
    project.configure(limits={"run_attempts": 2}, retry={"resumes": 0, "repairs": 0, "restarts": 1})
    project.plans(a="ok", b="same,ok")
    project.dispatch()
    assert project.loop().last == 3
    assert project.statuses() == {"a": "DONE", "b": "TODO"}
    project.configure(limits={"run_attempts": 3})
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE", "b": "DONE"}


def test_a_limit_spends_nothing_of_the_budget_of_attempts(project: Project) -> None:
    project.configure(slots=1, limits={"run_attempts": 2})
    project.plans(a="limit:in 1 seconds,ok", b="ok")
    assert project.settle() == {"a": "DONE", "b": "DONE"}, project.story()


def test_the_caps_of_one_task(project: Project) -> None:
    project.configure(limits={"task_attempts": 2}, retry={"repairs": 9})
    project.plans(a="wrong:1,same,ok", b="ok")
    assert project.settle() == {"a": "FAILED", "b": "DONE"}
    assert project.starts()["a"] == 2
    assert "task_attempts" in project.table()["a"]["note"]
    project.configure(limits={"task_attempts": None, "task_cost_usd": 0.015})
    project.plans(c="wrong:1,same,ok", d="ok")
    assert project.settle() == {"c": "FAILED", "d": "DONE"}
    assert project.starts()["c"] == 2
    assert "task_cost_usd" in project.table()["c"]["note"]


PRICE = {"model": "m-.*", "as_of": "2026-11", "input": 1000.0, "output": 1000.0}


@pytest.mark.parametrize("budget", ["run_cost_usd", "task_cost_usd"])
def test_a_budget_of_money_that_nobody_could_keep_is_refused(project: Project, budget: str) -> None:
    """The agent reports only tokens; their cost is known from the price of the model in the profile."""
    tokens = {"event": {"type": "result"}, "tokens": ["usage.input", "usage.output"], "cost": None}
    fake = {"command": COMMAND, "resume": None, "usage": tokens, "flags": {"model": ["--m", "{value}"]}}
    project.configure(limits={budget: 5.0}, agents={"fake": fake})
    project.plans(a="ok")
    for command in ("check", "dispatch"):
        refused = project.run(command)
        assert refused.code == 1
        line = next(line for line in refused.stderr.splitlines() if budget in line)
        assert line.startswith("agentjobs: agentjobs.toml:"), line
        assert 'profile "default"' in line
        assert 'unknown_cost = "allow"' in line
    assert project.starts().total() == 0
    project.configure(limits={"unknown_cost": "allow"})
    project.run("check", code=0)
    project.configure(limits={"unknown_cost": None}, agents={"fake": {"prices": [PRICE]}})
    project.configure(profiles={"default": {"model": "x-1"}})
    assert 'what model "x-1" of agent "fake" costs is not known' in project.run("dispatch", code=1).stderr
    project.configure(profiles={"default": {"model": "m-1"}})
    assert project.settle() == {"a": "DONE"}
    assert project.table()["a"]["cost"] == "0.1000"


def test_a_cost_that_turns_out_to_be_unknown_halts_the_run(project: Project) -> None:
    """Agents report $0 for tokens of a model if they do not know its price."""
    project.configure(slots=1, limits={"run_cost_usd": 5.0})
    project.plans(a="cost:0.25", b="cost:0", c="ok", d="ok")
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3
    assert "the cost of attempt 1 of b is not known, so limits.run_cost_usd cannot be kept" in looped.stderr
    assert project.starts()["d"] == 0, "what runs is finished"
    assert (project.table()["a"]["cost"], project.table()["b"]["cost"]) == ("0.2500", "")
    said = project.run("status").stdout
    assert "at least $0.26 (the cost of 1 task is not known)" in said
    assert "[[agents.NAME.prices]]" in said
    assert "cost unknown" in project.run("show", "b").stdout
    project.dispatch()  # a person has seen it
    assert project.loop().last == 2
    assert set(project.statuses().values()) == {"DONE"}


def test_with_unknown_cost_allowed_a_budget_counts_what_is_known(project: Project) -> None:
    project.configure(slots=1, limits={"run_cost_usd": 0.5, "unknown_cost": "allow"}, retry={"repairs": 3})
    project.plans(a="cost:0", b="wrong:1,cost:0")
    assert project.settle() == {"a": "DONE", "b": "DONE"}
    assert [cells["cost"] for cells in project.table().values()] == ["", "0.0100+"]
    assert "at least $0.01 (the cost of 2 tasks is not known)" in project.run("status").stdout
    project.plans(c="cost:0.6", d="ok")
    project.dispatch()
    assert project.loop().last == 3
    assert "limits.run_cost_usd is spent" in project.run("status").stdout


def test_the_breaker_opens_when_all_fail_alike(project: Project) -> None:
    """Agents of real life say different things before they die in the same way."""
    project.configure(slots=2, limits={"breaker": 4})
    project.plans(**{f"t{n:02}": "wrong" for n in range(12)})
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3, project.story()
    assert "breaker" in looped.stderr
    assert len(project.starts()) <= 6
    assert project.poll().code == 3


def test_the_breaker_opens_when_one_check_is_red_for_all(project: Project) -> None:
    project.configure(
        slots=2,
        limits={"breaker": 3},
        profiles={"default": {"verify": ['echo "$PWD/$AGENTJOBS_TASK.txt:12: cannot find module x"; exit 1']}},
    )
    project.plans(**{f"task{n}": "ok" for n in range(10)})
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3, project.story()
    assert "all ended alike (verify_failed); task" in looped.stderr, "one of them is quoted, with its last line"
    assert "cannot find module x" in looped.stderr
    assert len(project.starts()) <= 5


def test_the_breaker_stays_closed_when_one_does_well(project: Project) -> None:
    project.configure(slots=1, limits={"breaker": 3}, retry={**NO_RETRY})
    project.plans(a="ok", b="same", c="same", d="same", e="same", f="ok")
    statuses = project.settle()
    assert list(statuses.values()).count("FAILED") == 4


def test_a_reboot_is_no_failure_of_the_tasks(project: Project) -> None:
    """All that ran is lost, alike; the breaker has nothing to say about that."""
    project.configure(slots=3, limits={"breaker": 2})
    project.plans(a="hang,ok", b="hang,ok", c="hang,ok")
    project.dispatch()
    project.wait_for(lambda: len(project.ledger()) == 3)
    project.power_cut()
    assert project.loop().last == 2
    assert set(project.statuses().values()) == {"DONE"}, project.story()
    assert project.outcomes("a") == ["lost", "ok"]


def test_layer_3_starts_over_after_all_else_with_the_other_profile(project: Project) -> None:
    project.configure(
        slots=3,
        retry={"repairs": 1, "restarts": 1},
        profiles={
            "default": {"escalate": "strong"},
            "strong": {"agent": "fake", "verify": ["grep -q ^ok a.txt && test ! -e leftover"]},
        },
    )
    project.plans(a="outside:leftover,same,ok", b="@go ok", c="@go ok", d="ok")
    project.configure(profiles={"default": {"verify": ['grep -q ^ok "$AGENTJOBS_TASK.txt"; test ! -e leftover']}})
    project.dispatch()
    project.poll_until(lambda: project.outcomes("a")[1:] == ["verify_failed"] and project.starts()["c"])
    project.poll(code=0)
    assert project.starts()["a"] == 2, "it starts over when nothing else is left to do"
    project.open()
    assert project.loop().last == 2
    assert set(project.statuses().values()) == {"DONE"}, project.story()
    facts = project.attempts("a")
    assert [f["attempt"]["mode"] for f in facts] == ["first", "repair", "restart"]
    assert facts[2]["attempt"]["profile"] == "strong"
    others = [s.at for s in project.ledger() if s.task != "a"]
    assert max(others) < project.ledger()[-1].at
    assert project.ledger()[-1].task == "a"
    assert "agentjobs" not in project.prompt("a", 3), "a clean mind: no errors of the past"
    assert project.landed("leftover") is None
    assert project.git("for-each-ref", "refs/agentjobs/a")


def test_starting_over_that_does_not_pay_is_not_done(project: Project) -> None:
    project.configure(retry={"repairs": 0, "restarts": 1, "task_value_usd": 0.5})
    project.plans(a="ok", b="cost:0.9", c="wrong", d="cost:0.9")
    statuses = project.settle()
    assert statuses == {"a": "DONE", "b": "DONE", "c": "FAILED", "d": "DONE"}, project.story()
    assert project.starts()["c"] == 1
    assert "not pay" in project.table()["c"]["note"]


def test_when_too_many_fail_the_prompt_is_tuned_first(project: Project) -> None:
    project.configure(retry={"repairs": 0, "restarts": 1, "diagnose_above": 0.3})
    project.plans(**dict.fromkeys("abcd", "same"), **dict.fromkeys("efgh", "ok"))
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3, project.story()
    assert "4 of 8" in looped.stderr
    statuses = project.statuses()
    assert [i for i, status in statuses.items() if status == "FAILED"] == list("abcd")
    assert project.starts()["a"] == 1
    # Accepted: dispatch clears the halt, and nothing is left.
    project.dispatch()
    assert project.loop().last == 2
    assert project.starts().total() == 8
