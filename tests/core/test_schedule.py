"""``schedule`` in a simulated world: what must hold for all tasks together, whatever agents, people and kills do."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agentjobs.core.accounts import account_for, account_of
from agentjobs.core.board import UNSERVED, Board, Schedule
from agentjobs.core.budget import Spent
from agentjobs.core.pauses import LANDING, REFUSALS_MAX, Pause, lifted, pause_after, pauses_after
from agentjobs.core.schedule import schedule as scheduled
from agentjobs.core.start_over_pays import History, pays, sweep_due
from agentjobs.model.decisions import RUN, Begin, Conclude, Judge, Land, Launch, Settle
from agentjobs.model.facts import AgentEnd, Intent, Mode, Result
from agentjobs.model.outcomes import TROUBLE, Outcome
from agentjobs.model.state import Halt
from agentjobs.model.steps import Exited, Running, Step, StepKind
from agentjobs.model.tasks import Row, Status, Task
from agentjobs.policy.agents import Agent
from agentjobs.policy.limits import Limits
from agentjobs.policy.policy import Landing, Policy, Profile, Workspace
from agentjobs.text.jitter import jitter
from tests.kit.builders import NOW, policy, rows, task_at
from tests.kit.simulation import Odds, World, listed

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

def schedule(board: Board, ready: Iterable[Row], policy: Policy, now: float) -> Schedule:
    return scheduled(board, listed(tuple(ready)), policy, now)


# --- whole runs


def world(seed: int) -> World:
    """Return a world in which everything depends on the seed."""
    random = Random(seed)
    accounts = random.choice([1, 2])
    files = ["", "", "a", "a/b", "c", "a/**", "c d"]
    rows: list[Row] = []
    for number in range(random.randint(1, 9)):
        claim = random.choice(files)
        after = tuple(row.id for row in rows if random.random() < 0.15)
        profile = random.choice(["default", "shared", "other", "other"]) if accounts > 1 else "default"
        rows.append(Row(f"t{number}", number + 2, Status.TODO, after, (claim,) if claim else (), profile))
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
        paused=random.choice([0.0, 0.0, 0.2]),
    )
    made = policy(
        accounts=accounts,
        slots=random.randint(1, 4),
        verify_slots=random.randint(1, 2),
        start_interval_s=random.choice([0.0, 0.5, 3.0]),
        breaker=random.choice([0, 0, 3]),
        run_attempts=random.choice([None, None, 7]),
        run_cost_usd=random.choice([None, None, 5.0]),
        task_attempts=random.choice([None, None, 2]),
        tokens_in_flight=random.choice([None, None, 5, 20]),
        resumes=random.randint(0, 3),
        repairs=random.randint(0, 3),
        restarts=random.randint(0, 2),
        diagnose_above=random.choice([0.1, 1.0]),
        workspace=Workspace(
            kind=random.choice(["worktree", "worktree", "none"]), setup=random.choice([None, "setup"])
        ),
        landing=Landing(
            enabled=random.random() < 0.8,
            gate=random.choice([(), ("gate",)]),
            batch=random.choice([1, 2, 16]),
            wait_s=random.choice([0.0, 60.0, 3600.0]),
        ),
    )
    reviewers = random.choice([(), (), ("critic",), ("critic", "second")])
    if reviewers and made.workspace.kind != "none":
        rule = random.choice(["all", "any", "majority"])
        judged = {
            name: replace(profile, review=reviewers, review_pass=rule)
            for name, profile in made.profiles.items()
        }
        judges = {"critic": Profile(agent="c"), "second": Profile(agent="a")}
        agents = {**made.agents, "c": Agent(command=("x",))}
        made = replace(made, profiles=judged | judges, agents=agents)
    found = World(random.randint(0, 2**32), made, rows, odds)
    found.sizes = {row.id: random.choice([1, 2, 3, 8, 30]) for row in rows}
    return found


@settings(max_examples=250, deadline=None)
@given(st.integers(0, 2**40))
def test_every_run_ends_and_keeps_its_promises(seed: int) -> None:
    world(seed).run()


# --- one board


def of(profile: str, *names: str) -> list[Row]:
    return rows(*names, profile=profile)


def attempt_of(agent: str, made: Task, **intent: Any) -> Task:
    """Return a task whose last attempt is of another agent."""
    last = made.attempts[-1]
    profile = {"a": "default", "same": "shared", "b": "other"}[agent]
    changed = replace(last, intent=replace(last.intent, agent=agent, profile=profile, **intent))
    return replace(made, row=replace(made.row, profile=profile), attempts=(*made.attempts[:-1], changed))


def live(name: str, **more: object) -> Task:
    return task_at(name, step=Step("agent", StepKind.AGENT, Running(1, NOW), NOW), **more)  # type: ignore[arg-type]


def verifying(name: str, kind: StepKind = StepKind.VERIFY, **more: object) -> Task:
    return task_at(name, step=Step(kind.value, kind, Running(1, NOW), NOW), end=Outcome.OK, **more)  # type: ignore[arg-type]


def begun(board: Board, *ready: Row, now: float = NOW, **more: object) -> list[str]:
    made = schedule(board, ready, policy(**more), now)
    return [action.id for action in made.actions if isinstance(action.decision, Begin)]


def test_slots_are_filled_in_order_and_not_beyond() -> None:
    assert begun(Board(), *rows("a", "b", "c", "d")) == ["a", "b", "c"]
    assert begun(Board(tasks=(live("x"), live("y"))), *rows("a", "b")) == ["a"]
    assert begun(Board(tasks=(live("x"), live("y"), live("z"))), *rows("a")) == []
    assert begun(Board(tasks=(verifying("x"), verifying("y"))), *rows("a", "b")) == ["a", "b"]


def test_no_more_begins_than_can_land_soon() -> None:
    finished = [verifying(name) for name in "uvwxyz"]
    together: dict[str, Any] = {"landing": Landing(gate=("true",), batch=4)}
    alone: dict[str, Any] = {"landing": Landing(enabled=False)}
    assert begun(Board(tasks=tuple(finished[:3])), *rows("a", "b")) == ["a"]
    assert begun(Board(tasks=tuple(finished[:4])), *rows("a", "b")) == []
    assert begun(Board(tasks=tuple(finished)), *rows("a", "b"), **together) == ["a"]
    assert begun(Board(tasks=tuple(finished)), *rows("a", "b"), **alone) == ["a", "b"]
    held = Board(tasks=tuple(finished), hold=Pause(Outcome.INFRA, NOW + 60.0, NOW, ""))
    assert begun(held, *rows("a", "b")) == ["a", "b"], "agents go on while nothing can land"
    again = task_at("r", Outcome.VERIFY_FAILED)
    assert begun(Board(tasks=(*finished[:4], again)), *rows("a")) == ["r"], "its tree is there already"


def test_an_agent_that_ended_holds_its_slot_until_it_is_judged() -> None:
    full = Board(tasks=(live("x"), live("y"), task_at("z")))
    made = schedule(full, rows("a"), policy(), NOW)
    assert [type(a.decision) for a in made.actions] == [Judge]


def test_open_tasks_go_before_new_ones() -> None:
    assert begun(Board(tasks=(task_at("x", Outcome.VERIFY_FAILED),)), *rows("a", "b", "c")) == ["x", "a", "b"]


def test_nothing_starts_beside_an_agent_that_just_ended_or_a_limit_that_is_written_down() -> None:
    assert begun(Board(tasks=(task_at("x"),)), *rows("a")) == []
    assert begun(Board(tasks=(task_at("x", end=Outcome.LIMIT),)), *rows("a")) == []
    assert begun(Board(tasks=(task_at("x", end=Outcome.CRASHED),)), *rows("a")) == ["a"]


def test_starts_are_staggered() -> None:
    made = schedule(Board(), rows("a", "b"), policy(start_interval_s=2.0), NOW)
    assert [action.id for action in made.actions] == ["a"]
    assert made.until == NOW + 2
    board = Board(tasks=(live("x", at=NOW),), last_start_at=NOW)
    assert begun(board, *rows("a"), now=NOW + 1.9, start_interval_s=2.0) == []
    assert begun(board, *rows("a"), now=NOW + 2, start_interval_s=2.0) == ["a"]
    assert begun(board, *rows("a"), now=NOW - 86400, start_interval_s=2.0) == ["a"], "the clock was put back"


def test_nothing_starts_in_a_pause_and_one_by_one_after_it() -> None:
    board = Board(pauses={"a": Pause(Outcome.LIMIT, NOW + 60, NOW, "")})
    made = schedule(board, rows("a", "b"), policy(), NOW + 59)
    assert (made.actions, made.until, made.alive) == ((), NOW + 60, True)
    assert begun(board, *rows("a", "b"), now=NOW + 60) == ["a"]
    soon = Board(tasks=(live("x", at=NOW + 60),), pauses=board.pauses, last_start_at=NOW + 60)
    assert begun(soon, *rows("a", "b"), now=NOW + 119) == [], "one probe"
    assert begun(soon, *rows("a", "b"), now=NOW + 120) == ["a"]
    two = Board(tasks=(live("x", at=NOW + 60), live("y", at=NOW + 120)), pauses=board.pauses, last_start_at=NOW + 120)
    assert begun(two, *rows("a", "b"), now=NOW + 120.9) == [], "the others follow one by one"
    assert begun(two, *rows("a", "b"), now=NOW + 121) == ["a"]


def test_while_a_person_has_paused_no_agent_starts_and_all_else_goes_on() -> None:
    ready = task_at("s", step=Step("setup", StepKind.SETUP, Exited(0, NOW), NOW))
    ready = replace(ready, attempts=(replace(ready.attempts[0], steps=ready.attempts[0].steps[-1:]),))
    checked = task_at("v", end=Outcome.OK)
    started = Launch("agent", StepKind.AGENT)
    assert started in [a.decision for a in schedule(Board(tasks=(ready,)), (), policy(), NOW).actions]
    board = Board(tasks=(ready, checked), paused_until=NOW + 60)
    made = schedule(board, rows("a"), policy(), NOW)
    assert [(a.id, a.decision) for a in made.actions] == [("v", Launch("verify", StepKind.VERIFY))]
    assert (made.alive, made.until) == (True, NOW + 60)
    again = task_at("x", Outcome.CRASHED)
    for waiting, new in (((), rows("a")), ((ready,), []), ((deferred("x"),), []), ((again,), [])):
        for end in (NOW + 60, math.inf):
            made = schedule(Board(tasks=waiting, total=50, paused_until=end), new, policy(), NOW)
            assert (made.actions, made.alive, made.until) == ((), True, end)
    assert begun(Board(paused_until=NOW + 60), *rows("a"), now=NOW + 60) == ["a"]
    assert not schedule(Board(paused_until=math.inf), (), policy(), NOW).alive, "nothing is left to wait for"
    stuck = {"a": Pause(Outcome.AUTH, NOW, NOW, "401", stuck=True)}
    asks = Board(pauses=stuck, paused_until=math.inf)
    assert not schedule(asks, rows("a"), policy(), NOW).alive, "a person is needed"
    halted = Board(halt=Halt("budget", "", NOW), paused_until=math.inf)
    assert not schedule(halted, rows("a"), policy(), NOW).alive


def test_a_probe_that_comes_further_lets_the_others_follow() -> None:
    pauses = {"a": Pause(Outcome.LIMIT, NOW + 60, NOW, "")}

    def follows(probe: Task) -> bool:
        return begun(Board(tasks=(probe,), pauses=pauses), *rows("r"), now=NOW + 70) == ["r"]

    assert not follows(live("x", at=NOW + 60))
    assert follows(verifying("x", at=NOW + 60)), "the agent came back well"
    crashed = task_at("x", end=Outcome.CRASHED, at=NOW + 60)
    assert follows(crashed)
    assert not follows(task_at("x", end=Outcome.LOST, at=NOW + 60)), "it was killed before it could meet anything"
    setup = task_at("x", step=Step("setup", StepKind.SETUP, Running(1, NOW), NOW + 60), at=NOW + 60)
    setup = replace(setup, attempts=(replace(setup.attempts[0], steps=setup.attempts[0].steps[-1:]),))
    assert begun(Board(tasks=(setup,), pauses=pauses), *rows("r"), now=NOW + 500) == [], "a setup proves nothing"
    future = Board(tasks=(live("x", at=NOW + 9000),), pauses=pauses)
    assert begun(future, *rows("r"), now=NOW + 70) == ["r"], "the clock was put back: it is not a probe"
    passed = {"a": replace(pauses["a"], passed=True)}
    assert begun(Board(tasks=(live("x", at=NOW + 60),), pauses=passed), *rows("r"), now=NOW + 70) == ["r"]


def test_a_pause_is_its_accounts_alone() -> None:
    mixed = [*of("default", "d1", "d2"), *of("shared", "s1"), *of("other", "o1", "o2", "o3")]
    for pause in (Pause(Outcome.LIMIT, NOW + 60, NOW, ""), Pause(Outcome.AUTH, NOW, NOW, "", stuck=True)):
        board = Board(pauses={"a": pause})
        made = schedule(board, mixed, policy(accounts=2), NOW)
        assert [action.id for action in made.actions] == ["o1", "o2", "o3"]
        assert begun(Board(pauses={"bills": pause}), *mixed, accounts=2) == ["d1", "d2", "s1"]
        assert begun(Board(pauses={RUN: pause}), *mixed, accounts=2) == []
        again = attempt_of("same", task_at("x", Outcome.VERIFY_FAILED))
        assert begun(Board(tasks=(again,), pauses=board.pauses), *of("other", "o"), accounts=2) == ["o"]
    assert begun(Board(pauses={"a": Pause(Outcome.LIMIT, NOW, NOW - 9, "")}), *mixed, accounts=2) == ["d1", "o1", "o2"]
    assert begun(Board(pauses={RUN: Pause(Outcome.INFRA, NOW, NOW - 9, "")}), *mixed, accounts=2) == ["d1"]


def test_the_agent_that_would_start_decides_not_the_one_before() -> None:
    """A round goes on with the profile of its last attempt; layer 3 with the one it escalates to."""
    pauses = {"a": Pause(Outcome.LIMIT, NOW + 60, NOW, "")}
    other = attempt_of("b", task_at("x", Outcome.VERIFY_FAILED))
    moved = replace(other, row=replace(other.row, profile="default"))
    assert begun(Board(tasks=(moved,), pauses=pauses), accounts=2) == ["x"]
    spent = attempt_of("b", deferred("x"))  # "other" escalates to "default"
    made = schedule(Board(tasks=(spent,), total=50, pauses=pauses), (), policy(accounts=2), NOW)
    assert (made.actions, made.until, made.alive) == ((), NOW + 60, True)
    assert begun(Board(tasks=(spent,), total=50, pauses=pauses), now=NOW + 60, accounts=2) == ["x"]
    stuck = {"a": Pause(Outcome.AUTH, NOW, NOW, "x: 401", stuck=True)}
    made = schedule(Board(tasks=(spent,), total=50, pauses=stuck), (), policy(accounts=2), NOW)
    assert (made.actions, made.alive, made.waiting) == ((), False, True)
    assert made.short == "auth: a: x: 401"


def test_bad_news_of_one_account_holds_back_no_other() -> None:
    mixed = [*of("default", "d"), *of("other", "o")]
    for ended in (task_at("x"), task_at("x", end=Outcome.LIMIT), task_at("x", end=Outcome.INFRA)):
        assert begun(Board(tasks=(ended,)), *mixed, accounts=2) == ["o"]
        assert begun(Board(tasks=(attempt_of("b", ended),)), *mixed, accounts=2) == ["d"]
    broken = task_at("x", step=Step("setup", StepKind.SETUP, Exited(1, NOW), NOW))
    broken = replace(broken, attempts=(replace(broken.attempts[0], steps=broken.attempts[0].steps[-1:]),))
    assert begun(Board(tasks=(broken,)), *mixed, accounts=2) == [], "the machine is everybody's"


def test_a_person_is_asked_when_all_that_is_left_is_stuck() -> None:
    pauses = {"a": Pause(Outcome.AUTH, NOW, NOW, "t: 401", stuck=True), "b": Pause(Outcome.LIMIT, NOW + 60, NOW, "")}
    ours = of("default", "d")
    made = schedule(Board(pauses=pauses), ours, policy(accounts=2), NOW)
    assert (made.actions, made.alive, made.waiting, made.until) == ((), False, True, math.inf)
    assert made.short == "auth: a: t: 401"
    assert schedule(Board(pauses=pauses, tasks=(live("x"),)), ours, policy(accounts=2), NOW).alive, "something runs"
    pauses["bills"] = pauses.pop("b")
    made = schedule(Board(pauses=pauses), [*ours, *of("other", "o")], policy(accounts=2), NOW)
    assert (made.actions, made.alive, made.until) == ((), True, NOW + 60)
    pauses["bills"] = Pause(Outcome.INFRA, NOW, NOW, "o: no model", stuck=True)
    made = schedule(Board(pauses=pauses), [*ours, *of("other", "o")], policy(accounts=2), NOW)
    assert (made.alive, made.short) == (False, "auth: a: t: 401; infra: bills: o: no model")


def test_who_is_stuck_keeps_nobody_off_its_files() -> None:
    waits = task_at("x", Outcome.CRASHED, files=("f",))
    row = Row("o", 2, Status.TODO, files=("f",), profile="other")
    limit = {"a": Pause(Outcome.LIMIT, NOW + 60, NOW, "")}
    assert begun(Board(tasks=(waits,), pauses=limit), row, accounts=2) == []
    stuck = {"a": Pause(Outcome.AUTH, NOW, NOW, "", stuck=True)}
    assert begun(Board(tasks=(waits,), pauses=stuck), row, accounts=2) == ["o"]


def test_a_probe_is_not_always_the_same_task() -> None:
    pauses = {"a": Pause(Outcome.LIMIT, NOW, NOW - 9, "", 2)}
    x, y = (
        attempt_of("a", task_at(name, Outcome.LIMIT, at=at), probe=True)
        for name, at in (("x", NOW - 20), ("y", NOW - 50))
    )
    assert begun(Board(tasks=(x, y), pauses=pauses), *rows("r")) == ["y"], "the one tried longest ago"
    assert begun(Board(tasks=(x,), pauses=pauses), *rows("r")) == ["r"], "it may be the only one that is refused"
    assert begun(Board(tasks=(x,), pauses=pauses)) == ["x"]
    first = attempt_of("a", x, probe=False)
    assert begun(Board(tasks=(first,), pauses=pauses), *rows("r")) == ["x"], "it met the limit, and no probe did"


def test_attempts_know_if_they_probe() -> None:
    (probe,) = schedule(Board(pauses={"a": Pause(Outcome.LIMIT, NOW, NOW - 9, "")}), rows("r"), policy(), NOW).actions
    (usual,) = schedule(Board(), rows("r"), policy(), NOW).actions
    assert isinstance(probe.decision, Begin)
    assert isinstance(usual.decision, Begin)
    assert (probe.decision.probe, usual.decision.probe) == (True, False)


def test_who_is_paused_is_not_even_looked_at() -> None:
    looked: list[str] = []

    def ready(closed: Container[str]) -> Iterator[Row]:
        for profile in ("default", "other"):
            for number in range(100_000):
                if profile not in closed:
                    looked.append(profile)
                    yield Row(f"{profile}{number}", 2, Status.TODO, profile=profile)
                else:
                    break

    limit = Pause(Outcome.LIMIT, NOW + 60, NOW, "")
    made = scheduled(Board(pauses={"a": limit}), ready, policy(accounts=2), NOW)
    assert [action.id for action in made.actions] == ["other0", "other1", "other2"]
    assert looked.count("default") <= 1, "to know that there are any"
    looked.clear()
    made = scheduled(Board(pauses={"a": limit, "bills": limit}), ready, policy(accounts=2), NOW)
    assert (made.actions, made.until) == ((), NOW + 60)
    assert len(looked) <= 2


def test_an_agent_has_the_account_it_is_given_or_its_own() -> None:
    made = policy(accounts=2)
    assert [account_of(made, agent) for agent in ("a", "same", "b", "gone")] == ["a", "a", "bills", "gone"]
    row = Row("r", 2, Status.TODO, profile="other")
    assert [account_for(made, name, row) for name in ("shared", "gone")] == ["a", "bills"]
    assert account_for(made, "gone", replace(row, profile="gone")) == RUN


def test_after_a_lost_login_one_attempt_probes() -> None:
    pause = Pause(Outcome.AUTH, NOW + 5, NOW, "")
    probe = Board(tasks=(live("x", at=NOW + 5),), pauses={"a": pause}, last_start_at=NOW + 5)
    assert begun(probe, *rows("a"), now=NOW + 64) == []
    assert begun(probe, *rows("a"), now=NOW + 65) == ["a"]
    echo = Board(tasks=(live("x", at=NOW),), pauses={"a": pause}, last_start_at=NOW)
    assert begun(echo, *rows("a"), now=NOW + 5) == ["a"], "an attempt from before the trouble is not a probe"


def test_nothing_starts_without_memory() -> None:
    made = schedule(Board(free_memory=1), rows("a"), policy(), NOW)
    assert (made.actions, made.alive) == ((), True)
    assert NOW < made.until < math.inf


def test_two_tasks_at_work_never_share_a_file() -> None:
    claim = ("src/a",)
    assert begun(Board(tasks=(live("x", files=("src",)),)), *rows("a", files=claim)) == []
    assert begun(Board(), *rows("a", "b", files=claim)) == ["a"]
    assert begun(Board(tasks=(verifying("x", files=claim),)), *rows("a", files=claim)) == []
    assert begun(Board(tasks=(live("x", files=claim),)), *rows("b", "c")) == ["b", "c"]
    stopping = live("x", files=claim, in_play=False)
    assert begun(Board(tasks=(stopping,)), *rows("a", files=claim)) == []


def test_nor_do_two_that_begin_again() -> None:
    x, y = (task_at(name, Outcome.VERIFY_FAILED, files=("f",)) for name in "xy")
    assert begun(Board(tasks=(x, y))) == ["x"]
    assert begun(Board(tasks=(live("z", files=("f",)), x))) == []
    new_round = Task(Row("x", 2, Status.TODO, files=("f",)))
    assert begun(Board(tasks=(live("z", files=("f",)), new_round))) == []
    assert begun(Board(tasks=(x,)), *rows("a", files=("f",))) == ["x"]


def test_who_waits_for_its_next_attempt_keeps_new_rows_off_its_files() -> None:
    waiting = task_at("x", Outcome.CRASHED, files=("f",), at=NOW)
    assert begun(Board(tasks=(waiting,)), *rows("a", files=("f",))) == []


def test_the_deferred_claim_nothing() -> None:
    deferred = task_at("x", Outcome.VERIFY_FAILED, files=("f",), times=4)
    assert begun(Board(tasks=(deferred,)), *rows("a", files=("f",))) == ["a"]


@pytest.mark.parametrize("key", ["run_cost_usd", "run_tokens", "run_attempts"])
def test_a_spent_budget_starts_nothing_and_says_so(key: str) -> None:
    spent = Spent(cost=5.0, tokens=5, attempts=5)
    made = schedule(Board(spent=spent), rows("a"), policy(**{key: 5}), NOW)
    assert (made.actions, made.alive, made.waiting) == ((), False, True)
    assert key in made.short
    assert begun(Board(spent=spent), *rows("a", "b"), **{key: 6}) == ["a", "b"][: 1 if key == "run_attempts" else 2]


def test_a_spent_budget_with_only_layer_3_left_is_a_halt_too() -> None:
    deferred = task_at("x", Outcome.VERIFY_FAILED, times=4)
    made = schedule(Board(tasks=(deferred,), spent=Spent(attempts=5)), (), policy(run_attempts=5), NOW)
    assert (made.actions, made.waiting) == ((), True)
    assert made.short


def test_the_breaker() -> None:
    alike = (("crashed", "s"),) * 3
    made = schedule(Board(tally=alike), rows("a"), policy(breaker=3), NOW)
    assert made.halt is not None
    assert made.halt.why == "breaker"
    assert not made.actions
    assert not made.alive
    for fine in (alike[:2], (("ok", "-"),) * 3, (*alike[:2], ("crashed", "t")), (*alike[:2], ("lost", "s"))):
        assert begun(Board(tally=fine), *rows("a"), breaker=3) == ["a"]
    assert begun(Board(tally=alike), *rows("a"), breaker=0) == ["a"]
    assert begun(Board(tally=(*alike, ("ok", "-"))), *rows("a"), breaker=3) == []


def test_a_halt_starts_nothing_but_finishes_what_runs() -> None:
    halted = Board(tasks=(task_at("x"), live("y")), halt=Halt("auth", "", NOW))
    made = schedule(halted, rows("a"), policy(), NOW)
    assert [type(a.decision) for a in made.actions] == [Judge]
    assert made.halt is None
    assert made.alive


# --- checks and landing


def test_checks_have_slots_of_their_own_and_landing_goes_first() -> None:
    lands = [verified("new", 1), verified("old", 2)]
    waits = [task_at(name, end=Outcome.OK) for name in "vw"]
    made = schedule(Board(tasks=(*waits, *lands)), (), policy(verify_slots=2), NOW)
    assert (made.batch, [(a.id, type(a.decision)) for a in made.actions]) == (("old",), [("v", Launch)])
    busy = schedule(Board(tasks=(verifying("x"), verifying("y"), *waits, *lands)), (), policy(verify_slots=2), NOW)
    assert not busy.actions
    assert not busy.gate
    made = schedule(Board(tasks=(*waits, *lands), gating=True), (), policy(verify_slots=3), NOW)
    assert not made.gate
    assert [(a.id, type(a.decision)) for a in made.actions] == [("v", Launch), ("w", Launch)]


def queued(**more: Any) -> Policy:
    """Return a policy with batches of three that wait a minute."""
    return policy(landing=Landing(gate=("gate",), batch=3, wait_s=60.0), **more)


def verified(name: str, ago: float = 0.0, **more: Any) -> Task:
    """Return a task that waits to land, and passed its checks this many seconds ago."""
    return task_at(name, step=Step("verify", StepKind.VERIFY, Exited(0, NOW - ago), NOW), end=Outcome.OK, **more)


BUSY = (live("x"), live("y"), live("z"))


def test_a_batch_sets_out_when_it_is_full() -> None:
    two = (verified("a", 1), verified("b", 2))
    made = schedule(Board(tasks=(*BUSY, *two)), rows("r"), queued(), NOW)
    assert (made.gate, made.until, made.alive) == (False, NOW + 58, True)
    made = schedule(Board(tasks=(*BUSY, *two, verified("c", 3), verified("d"))), rows("r"), queued(), NOW)
    assert (made.gate, made.batch) == (True, ("c", "b", "a")), "the longest waiting first"
    assert not any(isinstance(action.decision, Land) for action in made.actions)


def test_a_batch_sets_out_when_one_has_waited_long_enough_however_busy_the_agents() -> None:
    board = Board(tasks=(*BUSY, verified("a", 60)))
    assert schedule(board, rows("r"), queued(), NOW).batch == ("a",)
    assert not schedule(board, rows("r"), queued(), NOW - 0.1).gate
    assert schedule(board, rows("r"), queued(), NOW - 86400).gate, "the clock was put back"


def test_a_batch_sets_out_when_agents_are_idle_and_no_check_is_coming() -> None:
    waits = verified("a", files=("f",))
    assert schedule(Board(tasks=(waits,)), (), queued(), NOW).gate
    assert schedule(Board(tasks=(waits, live("x"))), (), queued(), NOW).gate
    assert schedule(Board(tasks=(waits,)), rows("r", files=("f",)), queued(), NOW).gate, "a task waits for it"
    assert not schedule(Board(tasks=(waits,)), rows("r", "s", "t"), queued(), NOW).gate, "work for every slot"
    assert not schedule(Board(tasks=(waits, verifying("v"))), (), queued(), NOW).gate
    made = schedule(Board(tasks=(waits, task_at("v", end=Outcome.OK))), (), queued(), NOW)
    assert [type(action.decision) for action in made.actions] == [Launch]
    assert not made.gate
    made = schedule(Board(tasks=(waits, task_at("j"))), (), queued(), NOW)
    assert [type(action.decision) for action in made.actions] == [Judge]
    assert not made.gate, "what has just ended may be verified soon"


def test_a_batch_sets_out_in_a_pause_but_not_between_two_starts() -> None:
    waits = verified("a")
    paused = Board(tasks=(waits,), pauses={"a": Pause(Outcome.LIMIT, NOW + 3600, NOW, "")})
    assert schedule(paused, rows("r"), queued(), NOW).gate
    staggered = Board(tasks=(waits, live("x", at=NOW)), last_start_at=NOW)
    assert not schedule(staggered, rows("r"), queued(start_interval_s=2.0), NOW).gate
    assert schedule(staggered, rows("r"), queued(start_interval_s=30.0), NOW).gate
    assert schedule(Board(tasks=(waits,), free_memory=1), rows("r"), queued(), NOW).gate
    assert schedule(Board(tasks=(waits,), spent=Spent(attempts=9)), rows("r"), queued(run_attempts=9), NOW).gate


def test_what_a_verdict_asks_for_sets_out_at_once() -> None:
    assert schedule(Board(tasks=(*BUSY, verified("a")), asked=True), rows("r"), queued(), NOW).gate
    assert not schedule(Board(tasks=(verified("a"),), asked=True, gating=True), (), queued(), NOW).gate


def test_a_repair_waits_for_what_lands_without_it() -> None:
    blamed = task_at("b", Outcome.GATE_FAILED)
    for busy in (Board(tasks=(blamed,), gating=True), Board(tasks=(blamed, verified("a")), asked=True)):
        made = schedule(busy, (), queued(), NOW)
        assert not any(isinstance(action.decision, Begin) for action in made.actions)
        assert made.alive
    made = schedule(Board(tasks=(blamed,)), (), queued(), NOW)
    assert [type(action.decision) for action in made.actions] == [Begin]
    stuck = Board(tasks=(blamed, verified("a")), asked=True, halt=Halt(LANDING, "git refuses", NOW))
    assert not schedule(stuck, (), queued(), NOW).alive, "the run halts"


def test_a_batch_takes_a_slot_for_checks_before_those_that_are_to_be_verified() -> None:
    tasks = (*BUSY, verified("a", 60), task_at("v", end=Outcome.OK))
    made = schedule(Board(tasks=tasks), (), queued(verify_slots=1), NOW)
    assert (made.batch, made.actions) == (("a",), ())
    made = schedule(Board(tasks=(*tasks, verifying("w"))), (), queued(verify_slots=1), NOW)
    assert (made.gate, made.actions, made.alive) == (False, (), True)
    made = schedule(Board(tasks=tasks, gating=True), (), queued(verify_slots=1), NOW)
    assert (made.gate, made.actions, made.alive) == (False, (), True)


def test_a_batch_waits_while_git_refuses_and_lands_what_is_done_after_any_other_halt() -> None:
    waits = verified("a", 100)
    hold = Pause(Outcome.INFRA, NOW + 5, NOW - 1, "")
    for asked in (False, True):
        made = schedule(Board(tasks=(waits,), hold=hold, asked=asked), (), queued(), NOW)
        assert (made.gate, made.until, made.alive) == (False, NOW + 5, True)
        assert schedule(Board(tasks=(waits,), hold=hold, asked=asked), (), queued(), NOW + 5).gate
        for gating in (False, True):
            halted = Board(tasks=(waits,), halt=Halt("landing", "", NOW), asked=asked, gating=gating)
            made = schedule(halted, (), queued(), NOW)
            assert (made.gate, made.alive) == (False, False), "a person is needed"
    assert schedule(Board(tasks=(waits,), halt=Halt("breaker", "", NOW)), rows("r"), queued(), NOW).gate


def test_what_nobody_has_approved_is_in_no_batch() -> None:
    landing = Landing(gate=("gate",), batch=3, approve=True)
    made = schedule(Board(tasks=(verified("a", 100),)), (), policy(landing=landing), NOW)
    assert (made.gate, made.alive) == (False, False)
    assert "approve" in made.short


def test_when_to_look_again() -> None:
    made = schedule(Board(tasks=(live("x"), task_at("y", Outcome.CRASHED, at=NOW))), (), policy(), NOW)
    assert made.until == NOW + 1
    assert made.alive
    assert schedule(Board(), (), policy(), NOW).until == math.inf
    assert not schedule(Board(), (), policy(), NOW).alive


# --- layer 3


def deferred(name: str, outcome: Outcome = Outcome.VERIFY_FAILED, **more: object) -> Task:
    return task_at(name, outcome, times=4, **more)  # type: ignore[arg-type]


def test_layer_3_waits_for_all_else() -> None:
    x = deferred("x")
    assert begun(Board(tasks=(x,), total=50)) == ["x"]
    for other in (live("y"), verifying("y"), task_at("y", Outcome.CRASHED, at=NOW)):
        assert begun(Board(tasks=(x, other), total=50)) == []
    assert begun(Board(tasks=(x,), total=50), *rows("a")) == ["a"]
    assert begun(Board(tasks=(x, live("y", restarts=1)), total=50)) == ["x"]
    assert begun(Board(tasks=(x, task_at("y", Outcome.STOPPED, in_play=False)), total=50)) == ["x"]
    assert sweep_due((x,), {"x"})
    assert not sweep_due((x, live("y")), {"x"})


def test_layer_3_escalates() -> None:
    made = schedule(Board(tasks=(deferred("x"),), total=50), (), policy(), NOW)
    (action,) = made.actions
    assert isinstance(action.decision, Begin)
    assert (action.decision.mode, action.decision.profile, action.decision.fresh) == (Mode.RESTART, "strong", True)


def test_layer_3_stays_within_slots_and_files() -> None:
    many = tuple(deferred(f"x{n}") for n in range(5))
    assert begun(Board(tasks=many, total=99)) == ["x0", "x1", "x2"]
    assert begun(Board(tasks=tuple(deferred(n, files=("f",)) for n in "xy"), total=99)) == ["x"]


def test_layer_3_only_where_it_pays() -> None:
    x = deferred("x")
    for history, value, good in (
        (History(), 5.0, True),
        (History(cost=2.5), 5.0, True),
        (History(cost=2.6), 5.0, False),
        (History(wins={"verify_failed": 8}, cost=4.5), 5.0, True),
        (History(losses={"verify_failed": 8}, cost=0.6), 5.0, False),
        (History(wins={"crashed": 8}, cost=2.6), 5.0, False),
        (History(), 0.0, False),
    ):
        made = policy(task_value_usd=value)
        assert pays(x, history, made) is good
        found = schedule(Board(tasks=(x,), total=50, history=history), (), made, NOW).actions[0].decision
        assert isinstance(found, Begin if good else Settle)


def test_too_many_failures_are_diagnosed_and_not_repeated() -> None:
    three = tuple(deferred(name) for name in "xyz")
    made = schedule(Board(tasks=three, total=29), (), policy(), NOW)
    assert made.halt is not None
    assert made.halt.why == "diagnose"
    assert [a.decision for a in made.actions] == [Settle(Status.FAILED, "verify_failed")] * 3
    assert made.halt.detail == "3 of 29 tasks failed"
    crashed = tuple(task_at(name, Outcome.CRASHED, end=Outcome.CRASHED, times=6) for name in "xyz")
    diagnosed = schedule(Board(tasks=crashed, total=29), (), policy(), NOW).halt
    assert diagnosed is not None
    assert diagnosed.detail == f"3 of 29 tasks failed {UNSERVED}"
    assert begun(Board(tasks=three, total=30)) == ["x", "y", "z"], "a tenth is not above a tenth"
    assert begun(Board(tasks=three[:2], total=2)) == ["x", "y"], "two failures say nothing"
    assert begun(Board(tasks=three[:2], failed=1, total=29)) == []
    swept = (*three[:2], live("z", restarts=1))
    assert begun(Board(tasks=swept, failed=9, total=12)) == ["x", "y"], "what has begun is not taken back"


# --- pauses


LIMITS = Limits()


def after(
    pause: Pause | None,
    outcome: Outcome,
    started_at: float = NOW - 100,
    reset_at: float = 0.0,
    limits: Limits = LIMITS,
) -> Pause | None:
    return pause_after(
        pause, outcome, started_at=started_at, reset_at=reset_at, detail="", key="k", limits=limits, now=NOW
    )


def test_a_limit_lasts_until_its_reset() -> None:
    assert after(None, Outcome.LIMIT, reset_at=NOW + 9) == Pause(Outcome.LIMIT, NOW + 9, NOW, "", since=NOW)
    unknown = after(None, Outcome.LIMIT)
    assert isinstance(unknown, Pause)
    assert unknown.until == NOW + 300
    known = Pause(Outcome.LIMIT, NOW + 5000, NOW - 50, "")
    assert after(known, Outcome.LIMIT, reset_at=NOW + 9) == replace(known, since=NOW - 50), "an echo"


def test_a_time_that_was_rounded_down_is_a_matter_of_seconds() -> None:
    pause: Pause | None = None
    waits = []
    for _ in range(5):
        pause = after(pause, Outcome.LIMIT, started_at=NOW - 1, reset_at=NOW - 30)
        assert pause is not None
        waits.append(pause.until - NOW)
        pause = replace(pause, at=NOW - 2, until=NOW - 2)
    assert waits == [1, 15, 30, 60, 120]


def test_waiting_for_a_limit_can_be_bounded_and_switched_off() -> None:
    reset_at = NOW + 3 * 3600
    for hours, stuck in ((None, False), (4.0, False), (2.0, True), (0.0, True)):
        found = after(None, Outcome.LIMIT, reset_at=reset_at, limits=Limits(limit_hours=hours))
        assert found is not None
        assert (found.stuck, found.until) == (stuck, reset_at)
    refused = Pause(Outcome.LIMIT, NOW - 1, NOW - 60, "", 3, since=NOW - 3 * 3600)
    again = after(refused, Outcome.LIMIT, started_at=NOW - 1, limits=Limits(limit_hours=2.0))
    assert again is not None
    assert again.stuck, "from when it was first met"


@pytest.mark.parametrize("outcome", [Outcome.OVERLOADED, Outcome.AUTH, Outcome.INFRA])
def test_a_lesser_trouble_does_not_shorten_a_limit(outcome: Outcome) -> None:
    limit = Pause(Outcome.LIMIT, NOW + 5000, NOW - 50, "")
    assert after(limit, outcome) == limit
    shorter = Pause(Outcome.OVERLOADED, NOW + 1, NOW - 50, "")
    longer = after(shorter, Outcome.LIMIT, reset_at=NOW + 9)
    assert isinstance(longer, Pause)
    assert (longer.outcome, longer.until) == (Outcome.LIMIT, NOW + 9)


@pytest.mark.parametrize(("outcome", "probes"), [(Outcome.AUTH, 2), (Outcome.INFRA, 1)])
def test_a_few_retries_then_a_person(outcome: Outcome, probes: int) -> None:
    first = after(None, outcome)
    assert isinstance(first, Pause)
    assert NOW + 2 <= first.until <= NOW + 15
    pause = Pause(outcome, NOW - 5, NOW - 10, "")
    met = replace(pause, alike=("k",) if outcome is Outcome.AUTH else ())
    assert after(pause, outcome, started_at=NOW - 11) == met, "an echo of the same trouble"
    assert after(pause, outcome, started_at=NOW - 10) == met, "begun in the very pass that found it"
    for left in reversed(range(probes)):
        again = after(pause, outcome, started_at=NOW - 4)
        assert again is not None
        assert again.stuck == (not left)
        assert again.stuck or NOW + 60 <= again.until <= NOW + 80
        pause = replace(again, until=NOW - 5, at=NOW - 10)


def test_overload_backs_off() -> None:
    pause = None
    for least, most in ((11, 19), (22, 38), (45, 75)):
        found = after(pause, Outcome.OVERLOADED, started_at=NOW - 1)
        assert isinstance(found, Pause)
        assert NOW + least <= found.until <= NOW + most
        pause = Pause(found.outcome, NOW - 2, NOW - 3, "", found.count)
    much = after(Pause(Outcome.OVERLOADED, 0.0, NOW - 9, "", 5000), Outcome.OVERLOADED, started_at=NOW - 1)
    assert isinstance(much, Pause)
    assert much.until <= NOW + 1000
    assert isinstance(after(Pause(Outcome.LIMIT, 0.0, NOW - 9, "", 5000), Outcome.LIMIT, started_at=NOW - 1), Pause)


def test_a_wrong_time_is_not_believed_for_ever() -> None:
    pause: Pause | None = None
    waits = []
    for _ in range(12):
        pause = after(pause, Outcome.LIMIT, started_at=NOW - 1, reset_at=NOW + 1)
        assert pause is not None
        waits.append(pause.until - NOW)
        pause = replace(pause, at=NOW - 2, until=NOW - 2)
    assert waits[:4] == [1, 15, 30, 60]
    assert waits[-1] == 3600


def test_an_account_that_never_opens_waits_for_a_person_in_the_end() -> None:
    for outcome in (Outcome.LIMIT, Outcome.OVERLOADED):
        most = after(Pause(outcome, NOW - 5, NOW - 9, "", REFUSALS_MAX - 1), outcome, started_at=NOW - 1)
        assert most is not None
        assert not most.stuck
        over = after(Pause(outcome, NOW - 5, NOW - 9, "", REFUSALS_MAX), outcome, started_at=NOW - 1)
        assert over is not None
        assert over.stuck


def test_who_is_stuck_stays_so_until_a_person_speaks() -> None:
    stuck = Pause(Outcome.AUTH, NOW - 5, NOW - 5, "", 3, stuck=True)
    for outcome in Outcome:
        assert after(stuck, outcome, started_at=NOW - 1) == stuck
    later = after(stuck, Outcome.LIMIT, reset_at=NOW + 50)
    assert later == replace(stuck, until=NOW + 50), "what an older attempt meets is waited for afterwards"
    limit = Pause(Outcome.LIMIT, NOW + 50, NOW - 5, "")
    again = lifted({"a": stuck, "b": limit}, NOW)
    assert again == {"a": replace(stuck, stuck=False, count=2, since=NOW), "b": limit}
    assert after(again["a"], Outcome.AUTH, started_at=NOW - 1) == replace(
        stuck, at=NOW, until=NOW, count=3, since=NOW, alike=("k",)
    ), "one more probe, not two"


def test_whose_trouble_it_is() -> None:
    def names(result: Outcome, end: Outcome | None) -> tuple[set[str], bool]:
        intent = Intent("x", 1, 1, Mode.FIRST, "default", "a", NOW - 9, "")
        known = {RUN: Pause(Outcome.INFRA, NOW - 5, NOW - 20, "")} if end is None else {}
        ended = AgentEnd(end, NOW, detail="said") if end else None
        found = pauses_after(known, "a", intent, ended, Result(result, NOW, detail="came"), Limits(), NOW)
        assert all(pause.detail == "x: said" for name, pause in found.pauses.items() if name)
        return set(found.pauses), found.halt is not None

    for outcome in TROUBLE:
        assert names(outcome, outcome) == ({"a"}, False)
    assert names(Outcome.INFRA, Outcome.OK) == ({RUN}, False), "a check that was lost is the machine's"
    assert names(Outcome.INFRA, None) == ({RUN}, True), "git, disk, setup: met again, everything halts"
    assert names(Outcome.STOPPED, Outcome.LIMIT) == ({"a"}, False), "stopped, but it had met a limit before"
    assert names(Outcome.VERIFY_FAILED, Outcome.OK) == (set(), False)
    assert names(Outcome.CONFLICT, None) == (set(), False), "the machine works again"


def test_only_a_good_end_lifts_a_pause_and_what_comes_further_lets_others_follow() -> None:
    over = Pause(Outcome.LIMIT, NOW - 50, NOW - 60, "")
    for outcome in (Outcome.OK, Outcome.VERIFY_FAILED, Outcome.NO_CHANGE, Outcome.CONTEXT_FULL):
        assert after(over, outcome, started_at=NOW - 40) is None
    for outcome in (Outcome.CRASHED, Outcome.TIMEOUT, Outcome.STALLED, Outcome.RUNAWAY):
        assert after(over, outcome, started_at=NOW - 40) == replace(over, passed=True)
    for outcome in (Outcome.LOST, Outcome.STOPPED, Outcome.NO_SESSION, Outcome.SESSION_BUSY):
        assert after(over, outcome, started_at=NOW - 40) == over


def test_a_good_end_since_lifts_the_pause() -> None:
    over = Pause(Outcome.LIMIT, NOW - 50, NOW - 60, "")
    assert after(over, Outcome.OK, started_at=NOW - 40) is None
    assert after(over, Outcome.OK, started_at=NOW - 70) == over, "it began before the limit"
    assert after(over, Outcome.STOPPED, started_at=NOW - 40) == over
    lasting = Pause(Outcome.LIMIT, NOW + 50, NOW - 60, "")
    assert after(lasting, Outcome.OK, started_at=NOW - 40) == lasting
    assert after(None, Outcome.CRASHED) is None


@given(st.text())
def test_jitter_is_a_share_and_always_the_same(key: str) -> None:
    assert 0 <= jitter(key) < 1
    assert jitter(key) == jitter(key)


def test_a_conclusion_is_never_put_off() -> None:
    board = Board(tasks=(task_at("x", end=Outcome.CRASHED),), halt=Halt("x", "", NOW))
    made = schedule(board, (), policy(slots=1), NOW)
    assert [a.decision for a in made.actions] == [Conclude(Outcome.CRASHED)]
