"""``decide`` alone: what one task needs, whatever its history; slots, pauses and other tasks hide nothing here."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agentjobs.core.decide import PROBES_MAX, REMOVED, UNSPENT_MAX, can_resume, decide, restarts_after
from agentjobs.core.gate import next_of_gate
from agentjobs.core.repetition import oscillating
from agentjobs.core.steps import CHECK_RUNS_MAX
from agentjobs.model.decisions import Begin, Conclude, Decision, Defer, End, Judge, Land, Launch, Look, Settle, Wait
from agentjobs.model.facts import AgentEnd, Attempt, Mode, Over, Result
from agentjobs.model.outcomes import LAYER_1, LAYER_2, UNSPENT, Outcome
from agentjobs.model.steps import Exited, Kill, KillReason, Lost, Prepared, Running, Seen, Step, StepKind, StepState
from agentjobs.model.tasks import Row, Status, Task
from agentjobs.policy.agents import Agent
from agentjobs.policy.limits import Limits, Retry
from agentjobs.policy.policy import Landing, Policy
from tests.kit.builders import LIVE, MINUTE, NOW, POLICY, ROW, agent, ask, attempt, history, over, step, task

# --- beginning, and what a person asks for


def test_nothing_yet() -> None:
    assert ask() == Begin(Mode.FIRST, fresh=True, why="first attempt", profile="default")
    assert decide(task(in_play=False), POLICY, NOW) == Wait(0.0, "not in play")
    assert isinstance(decide(task(wish=Status.TODO), POLICY, NOW), Begin)


@pytest.mark.parametrize("wish", [Status.SKIPPED, Status.DONE, Status.FAILED, Status.TODO])
def test_a_wish_ends_what_runs_then_writes_it_down_then_settles(wish: Status) -> None:
    live = attempt(agent(LIVE))
    assert decide(task(live, wish=wish), POLICY, NOW) == End("agent", KillReason.STOPPED, hard=False)
    ending = attempt(agent(LIVE, Kill(KillReason.STOPPED, NOW)))
    assert decide(task(ending, wish=wish), POLICY, NOW + 9.9) == Wait(NOW + 10, "agent is ending")
    assert decide(task(ending, wish=wish), POLICY, NOW + 10) == End("agent", KillReason.STOPPED, hard=False)
    twice = attempt(agent(LIVE, Kill(KillReason.STOPPED, NOW, 2)))
    assert decide(task(twice, wish=wish), POLICY, NOW + 20) == End("agent", KillReason.STOPPED, hard=True)
    ended = attempt(agent(Exited(0, NOW), Kill(KillReason.STOPPED, NOW)))
    assert decide(task(ended, wish=wish), POLICY, NOW) == Conclude(Outcome.STOPPED)
    over = attempt(result=Outcome.STOPPED)
    settle = decide(task(over, wish=wish), POLICY, NOW)
    assert isinstance(settle, Settle)
    assert settle.status is wish


def test_a_row_that_is_gone_says_so() -> None:
    gone = Task(Row("t", 0, Status.SKIPPED), 1, (), 0, Status.SKIPPED)
    assert decide(gone, POLICY, NOW) == Settle(Status.SKIPPED, REMOVED)
    assert decide(task(wish=Status.SKIPPED), POLICY, NOW) == Settle(Status.SKIPPED, "skipped by hand")


def test_out_of_play_ends_what_runs_and_begins_nothing() -> None:
    live = attempt(agent(LIVE))
    assert decide(task(live, in_play=False), POLICY, NOW) == End("agent", KillReason.STOPPED, hard=False)
    over = attempt(result=Outcome.STOPPED)
    assert decide(task(over, in_play=False), POLICY, NOW) == Wait(0.0, "not in play")


def test_what_landed_is_done_even_if_it_was_stopped_since() -> None:
    assert decide(task(attempt(result=Outcome.OK), in_play=False), POLICY, NOW) == Settle(Status.DONE, "")


# --- steps


def test_setup_comes_first_and_must_pass() -> None:
    bare = Attempt(attempt(setup="npm ci").intent)
    assert ask(bare) == Launch("setup", StepKind.SETUP)
    for state, kill, then in (
        (Prepared(), None, Launch("setup", StepKind.SETUP)),
        (Exited(0, NOW), None, Launch("agent", StepKind.AGENT)),
        (Exited(1, NOW), None, Conclude(Outcome.INFRA)),
        (Exited(0, NOW), Kill(KillReason.TIMEOUT, NOW), Conclude(Outcome.INFRA)),
        (Exited(0, NOW), Kill(KillReason.STOPPED, NOW), Conclude(Outcome.STOPPED)),
        (Lost(NOW), None, Conclude(Outcome.INFRA)),
    ):
        assert ask(attempt(step(StepKind.SETUP, state, kill=kill), setup="npm ci")) == then


def test_an_agent_is_started_once_and_judged_however_it_ended() -> None:
    assert ask(Attempt(attempt().intent)) == Launch("agent", StepKind.AGENT)
    assert ask(attempt(agent(Prepared()))) == Launch("agent", StepKind.AGENT)
    assert ask(attempt(agent(Exited(1, NOW)))) == Judge()
    assert ask(attempt(agent(Lost(NOW)))) == Judge()
    for outcome in set(Outcome) - {Outcome.OK}:
        assert ask(attempt(end=outcome)) == Conclude(outcome)


def checked(*steps: Step, **more: object) -> Attempt:
    return attempt(agent(Exited(0, NOW)), *steps, end=Outcome.OK, **more)  # type: ignore[arg-type]


def several(kind: StepKind, name: str = "", *, checks: int = 2, rest: int = 0, changed: bool | None = None) -> Step:
    """Return a run of several checks that all passed; ``changed``: what was seen of the tree afterwards."""
    seen = None if changed is None else Seen(("a.txt",) if changed else ())
    return replace(step(kind, Exited(0, NOW), name), checks=checks, rest=rest, seen=seen)


def test_checks_behind_one_that_changed_files_run_again_alone() -> None:
    kind, name = StepKind.VERIFY, "verify"
    assert ask(checked(several(kind, checks=1))) == Land(), "nothing could hide anything from a single check"
    assert ask(checked(several(kind))) == Look(name)
    assert ask(checked(several(kind, changed=False))) == Land()
    first = several(kind, changed=True, checks=3)
    assert ask(checked(first)) == Launch(f"{name}-2", kind)
    second = several(kind, f"{name}-2", checks=1, rest=1)
    assert ask(checked(first, second)) == Launch(f"{name}-3", kind)
    assert ask(checked(first, second, several(kind, f"{name}-3", checks=1))) == Land()
    failed = step(kind, Exited(1, NOW), f"{name}-2")
    assert ask(checked(first, failed)) == Conclude(Outcome.VERIFY_FAILED)
    assert ask(checked(several(kind), base="")) == Conclude(Outcome.OK), "without a tree there is no commit to see"


def test_the_gate_of_a_batch_looks_at_its_tree_too() -> None:
    def next_(*steps: Step) -> Decision:
        return next_of_gate(attempt(*steps), POLICY, NOW, wanted=True)

    gate = StepKind.GATE
    first = several(gate, changed=True)
    assert next_(several(gate)) == Look("gate")
    assert next_(several(gate, changed=False)) == Conclude(Outcome.OK)
    assert next_(first) == Launch("gate-2", gate)
    assert next_(first, several(gate, "gate-2", checks=1)) == Conclude(Outcome.OK)
    assert next_(first, step(gate, Exited(1, NOW), "gate-2")) == Conclude(Outcome.GATE_FAILED)
    lost = [step(gate, Lost(NOW), f"gate-{number}") for number in (2, 3, 4)]
    assert next_(first, *lost[:2]) == Launch("gate-4", gate), "the first run was not lost"
    assert next_(first, *lost) == Conclude(Outcome.INFRA)


def test_setup_runs_again_before_the_checks_where_the_agent_changed_what_it_had_made() -> None:
    setup = StepKind.SETUP
    before = checked(step(setup, Exited(0, NOW)), setup="x")
    assert before.end is not None
    spoilt = replace(before, end=replace(before.end, setup="x"))
    assert ask(before) == Launch("verify", StepKind.VERIFY)
    assert ask(spoilt) == Launch("setup-2", setup)

    def after(state: StepState, kill: Kill | None = None) -> Decision:
        return ask(replace(spoilt, steps=(*spoilt.steps, step(setup, state, "setup-2", kill))))

    assert after(Prepared()) == Launch("setup-2", setup)
    assert after(Exited(0, NOW)) == Launch("verify", StepKind.VERIFY)
    assert after(Exited(1, NOW)) == after(Lost(NOW)) == Conclude(Outcome.INFRA)
    assert after(Exited(0, NOW), Kill(KillReason.STOPPED, NOW)) == Conclude(Outcome.STOPPED)


def test_setup_that_runs_again_in_a_tree_made_again_must_pass_before_the_checks_go_on() -> None:
    lost, setup, verify = step(StepKind.VERIFY, Lost(NOW)), StepKind.SETUP, StepKind.VERIFY
    assert ask(checked(lost, step(setup, Prepared(), "setup-2"))) == Launch("setup-2", setup)
    assert ask(checked(lost, step(setup, Exited(1, NOW), "setup-2"))) == Conclude(Outcome.INFRA)
    assert ask(checked(lost, step(setup, Exited(0, NOW), "setup-2"))) == Launch("verify-2", verify)


def test_work_that_no_commit_can_hold_is_not_started_over() -> None:
    policy = replace(POLICY, retry=replace(POLICY.retry, repairs=0, restarts=1))
    last = attempt(agent(Exited(0, NOW)), end=Outcome.NO_CHANGE, result=Outcome.NO_CHANGE)
    assert last.end is not None
    assert isinstance(ask(last, policy=policy), Defer)
    held = replace(last, end=replace(last.end, inside=True))
    assert ask(held, policy=policy) == Settle(Status.FAILED, "no_change")


def test_checks_decide_and_not_the_agent() -> None:
    verify = StepKind.VERIFY
    passed = step(verify, Exited(0, NOW))
    assert ask(checked()) == Launch("verify", verify)
    assert ask(checked(checks=())) == Land()
    assert ask(checked(checks=(), base="")) == Conclude(Outcome.OK)
    assert ask(checked(step(verify, Prepared()))) == Launch("verify", verify)
    assert ask(checked(step(verify, Exited(1, NOW)))) == Conclude(Outcome.VERIFY_FAILED)
    late = step(verify, Exited(0, NOW), kill=Kill(KillReason.TIMEOUT, NOW))
    assert ask(checked(late)) == Conclude(Outcome.VERIFY_FAILED)
    assert ask(checked(step(verify, Exited(0, NOW), kill=Kill(KillReason.STOPPED, NOW)))) == Conclude(Outcome.STOPPED)
    assert ask(checked(passed)) == Land()
    assert ask(checked(passed, base="")) == Conclude(Outcome.OK)
    off = Policy(landing=Landing(enabled=False), profiles=POLICY.profiles, agents=POLICY.agents)
    assert ask(checked(passed), policy=off) == Conclude(Outcome.OK)


def test_a_gate_of_an_attempt_itself_which_older_versions_ran_decides_nothing() -> None:
    """The merge queue checks again what is to land; a gate that still runs is waited for."""
    gate, passed = StepKind.GATE, step(StepKind.VERIFY, Exited(0, NOW))
    for state in (Prepared(), Exited(2, NOW), Exited(0, NOW), Lost(NOW)):
        assert ask(checked(passed, step(gate, state))) == Land()
    assert isinstance(ask(checked(passed, step(gate, Running(1, NOW)))), Wait | End)


def test_a_lost_check_runs_again_but_not_for_ever() -> None:
    lost = [step(StepKind.VERIFY, Lost(NOW), name) for name in ("verify", "verify-2", "verify-3")]
    assert len(lost) == CHECK_RUNS_MAX
    assert ask(checked(lost[0])) == Launch("verify-2", StepKind.VERIFY)
    assert ask(checked(*lost[:2])) == Launch("verify-3", StepKind.VERIFY)
    assert ask(checked(*lost)) == Conclude(Outcome.INFRA)


@pytest.mark.parametrize(
    ("running", "due", "why"),
    [
        (Running(1, NOW), NOW + 10 * MINUTE, "stalled"),
        (Running(1, NOW - 9999), NOW + 10 * MINUTE, "stalled"),
        (Running(1, NOW + 29 * MINUTE), NOW + 30 * MINUTE, "timeout"),
        (Running(1, NOW + 5 * MINUTE, finished=True), NOW + 5.5 * MINUTE, "hung"),
        (Running(1, NOW + 29.9 * MINUTE, finished=True), NOW + 30 * MINUTE, "hung"),
    ],
)
def test_a_clock_runs_for_an_agent(running: Running, due: float, why: str) -> None:
    live = attempt(agent(running))
    assert ask(live, now=due - 0.01) == Wait(due, "agent runs")
    assert ask(live, now=due) == End("agent", KillReason(why), hard=False)


def test_a_clock_runs_for_a_check_and_silence_is_its_right() -> None:
    live = checked(step(StepKind.VERIFY, Running(1, NOW - 99999)))
    assert ask(live, now=NOW + 15 * MINUTE - 1) == Wait(NOW + 15 * MINUTE, "verify runs")
    assert ask(live, now=NOW + 15 * MINUTE) == End("verify", KillReason.TIMEOUT, hard=False)
    setup = attempt(step(StepKind.SETUP, Running(1, NOW)), setup="x")
    assert ask(setup, now=NOW + 15 * MINUTE) == End("setup", KillReason.TIMEOUT, hard=False)


def test_a_flood_is_ended_at_once() -> None:
    limit = POLICY.limits.output_bytes
    assert isinstance(ask(attempt(agent(Running(1, NOW, limit))), now=NOW), Wait)
    assert ask(attempt(agent(Running(1, NOW, limit + 1))), now=NOW) == End("agent", KillReason.RUNAWAY, hard=True)


# --- layers


def test_every_outcome_has_one_layer() -> None:
    assert not LAYER_1 & LAYER_2
    assert not LAYER_1 & UNSPENT
    assert not LAYER_2 & UNSPENT
    assert LAYER_1 | LAYER_2 | UNSPENT | {Outcome.OK, Outcome.GAVE_UP} == set(Outcome)


@pytest.mark.parametrize("outcome", sorted(LAYER_1))
def test_layer_1_resumes_after_a_moment(outcome: Outcome) -> None:
    one = history(outcome)
    assert ask(*one, now=NOW + 0.99) == Wait(NOW + 1, "backs off before it resumes")
    begin = ask(*one, now=NOW + 1)
    assert isinstance(begin, Begin)
    assert begin.mode is Mode.RESUME
    assert begin.fresh is (outcome is Outcome.NO_SESSION)
    assert ask(*history(outcome, outcome), now=NOW + 1.9) == Wait(NOW + 2, "backs off before it resumes")
    third = ask(*history(outcome, outcome, outcome))
    assert isinstance(third, Begin)
    assert third.mode is Mode.REPAIR
    assert third.fresh


@pytest.mark.parametrize("outcome", sorted(LAYER_2 - {Outcome.CONTEXT_FULL}))
def test_layer_2_repairs_then_defers(outcome: Outcome) -> None:
    for count in (1, 2, 3):
        begin = ask(*history(*[outcome] * count), now=NOW)
        assert isinstance(begin, Begin)
        assert (begin.mode, begin.fresh) == (Mode.REPAIR, True)
    assert isinstance(ask(*history(*[outcome] * 4)), Defer)
    last = tuple(attempt(number=n, result=outcome, restarts=1) for n in range(4))
    assert isinstance(ask(*last), Settle)


def test_context_full_twice_is_a_task_to_split() -> None:
    assert isinstance(ask(*history(Outcome.CONTEXT_FULL)), Begin)
    twice = ask(*history(Outcome.CONTEXT_FULL, Outcome.CRASHED, Outcome.CONTEXT_FULL))
    assert twice == Settle(Status.FAILED, "context full twice: split this task")
    words = "maximum context length is 128000 tokens"
    said = replace(over(Outcome.CONTEXT_FULL, number=3), result=Result(Outcome.CONTEXT_FULL, NOW, words))
    settled = ask(*history(Outcome.CONTEXT_FULL, Outcome.CRASHED), said)
    assert settled == Settle(Status.FAILED, f"context full twice: split this task ({words})")


def test_an_agent_that_gave_up_is_not_asked_again() -> None:
    first = replace(over(Outcome.GAVE_UP), result=Result(Outcome.GAVE_UP, NOW, "no such file"))
    assert ask(first) == Settle(Status.FAILED, "gave_up: no such file")
    told = Result(Outcome.GAVE_UP, NOW, "cannot")
    repair = replace(over(Outcome.GAVE_UP, number=2, mode=Mode.REPAIR), result=told)
    assert ask(*history(Outcome.VERIFY_FAILED), repair) == Defer("gave_up: cannot")


def test_interruptions_beyond_layer_1_are_paid_by_layer_2() -> None:
    crashes = [Outcome.CRASHED] * (1 + POLICY.retry.resumes + POLICY.retry.repairs)
    assert isinstance(ask(*history(*crashes[:-1])), Begin)
    assert isinstance(ask(*history(*crashes)), Defer)


def test_a_long_list_of_resumes_overflows_nothing() -> None:
    many = Policy(retry=Retry(resumes=5000), profiles=POLICY.profiles, agents=POLICY.agents)
    crashes = history(*[Outcome.CRASHED] * 1500)
    assert ask(*crashes, now=NOW + 59, policy=many) == Wait(NOW + 60, "backs off before it resumes")


def test_a_clock_that_was_put_back_does_not_hold_a_resume() -> None:
    assert isinstance(ask(*history(Outcome.CRASHED), now=NOW - 86400), Begin)


@pytest.mark.parametrize("outcome", sorted(UNSPENT))
def test_what_is_not_its_fault_does_not_count(outcome: Outcome) -> None:
    again = ask(*history(Outcome.VERIFY_FAILED, *[outcome] * UNSPENT_MAX))
    assert isinstance(again, Begin)
    assert again.fresh is (outcome is Outcome.INFRA)
    assert isinstance(ask(*history(*[outcome] * (UNSPENT_MAX + 1))), Settle)


@pytest.mark.parametrize("outcome", sorted(UNSPENT))
def test_to_meet_a_trouble_that_others_met_is_not_a_tasks_doing(outcome: Outcome) -> None:
    def met(count: int) -> list[Attempt]:
        made = history(*[outcome] * count)
        return [replace(a, intent=replace(a.intent, probe=True)) for a in made]

    stopped = outcome is Outcome.STOPPED
    assert isinstance(ask(*met(UNSPENT_MAX + 1)), Settle if stopped else Begin)
    assert isinstance(ask(*met(PROBES_MAX)), Settle if stopped else Begin)
    assert isinstance(ask(*met(PROBES_MAX + 1)), Settle), "but there is an end to everything"


@pytest.mark.parametrize("outcome", sorted(UNSPENT))
@pytest.mark.parametrize("mode", list(Mode)[:4])
def test_what_an_agent_left_that_cannot_be_resumed_is_gone_on_with(outcome: Outcome, mode: Mode) -> None:
    deaf = Policy(profiles=POLICY.profiles, agents={n: replace(a, resume=()) for n, a in POLICY.agents.items()})
    begun = ask(attempt(agent(Exited(1, NOW)), result=outcome, mode=mode), policy=deaf)
    assert isinstance(begun, Begin)
    assert (begun.mode, begun.fresh) == (Mode.REPAIR if mode is Mode.REPAIR else Mode.RESUME, True)
    never = attempt(agent(Prepared()), result=outcome, mode=mode)
    for before in (never, replace(never, steps=())):
        again = ask(before, policy=deaf)
        assert isinstance(again, Begin)
        assert (again.mode, again.fresh) == (mode, True), "nothing was done: the tree may be put on its base"


def test_a_restart_that_did_not_count_starts_over_again_and_is_one_restart() -> None:
    failed = attempt(agent(Prepared()), number=5, result=Outcome.INFRA, mode=Mode.RESTART, restarts=1)
    again = ask(*history(*[Outcome.VERIFY_FAILED] * 4), failed)
    assert again == Begin(Mode.RESTART, fresh=True, why="attempt 5 did not count: infra", profile="default")
    assert restarts_after(failed, Mode.RESTART) == 1
    assert restarts_after(failed, Mode.REPAIR) == 1
    assert restarts_after(history(Outcome.VERIFY_FAILED)[0], Mode.RESTART) == 1
    assert restarts_after(None, Mode.FIRST) == 0


def test_counting_starts_anew_after_a_restart() -> None:
    old = history(*[Outcome.VERIFY_FAILED] * 4)
    fresh = attempt(number=5, result=Outcome.VERIFY_FAILED, mode=Mode.RESTART, restarts=1)
    assert isinstance(ask(*old, fresh), Begin)


def test_limits_of_a_task() -> None:
    tight = Policy(limits=Limits(task_attempts=2), profiles=POLICY.profiles, agents=POLICY.agents)
    assert isinstance(ask(*history(Outcome.CRASHED), policy=tight), Begin)
    assert isinstance(ask(*history(Outcome.CRASHED, Outcome.CRASHED), policy=tight), Settle)
    assert isinstance(ask(*history(Outcome.CRASHED, Outcome.LIMIT), policy=tight), Begin)
    earlier = decide(task(*history(Outcome.CRASHED), earlier=1), tight, NOW + 99)
    assert isinstance(earlier, Settle)
    assert earlier.status is Status.FAILED
    dear = Policy(limits=Limits(task_cost_usd=1.0), profiles=POLICY.profiles, agents=POLICY.agents)
    assert isinstance(ask(*history(Outcome.CRASHED, cost=0.9), policy=dear), Begin)
    assert isinstance(ask(*history(Outcome.CRASHED, cost=1.0), policy=dear), Settle)
    assert ask(*history(Outcome.OK, cost=9.0), policy=dear) == Settle(Status.DONE, "")


def failures(*pairs: tuple[str, str]) -> tuple[Over, ...]:
    return tuple(over(Outcome.VERIFY_FAILED, signature=s, tree=t) for s, t in pairs)


def test_oscillation() -> None:
    assert not oscillating(())
    assert not oscillating(failures(("e", "t1")))
    assert not oscillating(failures(("e", "t1"), ("e", "t2")))
    assert oscillating(failures(("e", "t1"), ("e", "t2"), ("e", "t3")))
    assert oscillating(failures(("e", "t1"), ("f", "t1")))
    assert oscillating(failures(("e", "t1"), ("f", "t2"), ("e", "t3")))
    assert not oscillating(failures(("e", "t1"), ("f", "t2"), ("g", "t3")))
    assert not oscillating(failures(("", ""), ("", ""), ("", ""), ("", "")))
    assert isinstance(ask(*failures(("e", "t"), ("f", "t"))), Defer)


def test_who_can_be_resumed() -> None:
    assert can_resume(history(Outcome.CRASHED)[0], POLICY)
    assert not can_resume(history(Outcome.NO_SESSION)[0], POLICY)
    assert not can_resume(history(Outcome.CONTEXT_FULL)[0], POLICY)
    assert not can_resume(Over(attempt().intent, result=Result(Outcome.INFRA, NOW)), POLICY)
    crashed = history(Outcome.CRASHED)[0]
    assert not can_resume(replace(crashed, end=AgentEnd(Outcome.CRASHED, NOW, unwritten=True)), POLICY)
    without = Policy(profiles=POLICY.profiles, agents={"a": Agent(command=("x",))})
    assert not can_resume(history(Outcome.CRASHED)[0], without)
    assert not can_resume(history(Outcome.CRASHED)[0], Policy())


# --- whatever the history

phases = st.one_of(
    st.just(Prepared()),
    st.builds(Running, st.just(1), st.floats(NOW - 9e4, NOW + 9e4), st.integers(0, 1 << 28), st.booleans()),
    st.builds(Exited, st.integers(0, 255), st.just(NOW)),
    st.just(Lost(NOW)),
)
kills = st.none() | st.builds(Kill, st.sampled_from(["timeout", "stopped", "hung"]), st.just(NOW), st.integers(1, 3))
names = st.sampled_from(["setup", "agent", "verify", "verify-2", "gate", "gate-2"])


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    steps = {
        name: step(StepKind(name.partition("-")[0]), draw(phases), name, draw(kills)) for name in draw(st.sets(names))
    }
    order = list(StepKind)
    ordered = sorted(steps.values(), key=lambda s: (order.index(s.kind), len(s.name), s.name))
    outcomes = st.none() | st.sampled_from(list(Outcome))
    end, result = draw(outcomes), draw(outcomes)
    found = attempt(end=end, result=result, setup=draw(st.sampled_from(["", "x"])), at=draw(st.floats(0, 2e6)))
    return replace(found, steps=tuple(ordered))


tasks = st.builds(
    Task,
    st.just(ROW),
    st.just(1),
    st.lists(attempts(), max_size=8).map(tuple),
    st.integers(0, 9),
    st.none() | st.sampled_from([Status.TODO, Status.SKIPPED, Status.DONE, Status.FAILED]),
    st.booleans(),
)


@settings(max_examples=400, deadline=None)
@given(tasks, st.floats(0, 2e6))
def test_whatever_the_history(any_task: Task, now: float) -> None:
    decision = decide(any_task, POLICY, now)
    assert decision == decide(any_task, POLICY, now)
    last = any_task.last
    live = [s for s in last.steps if isinstance(s.state, Running)] if last and last.result is None else []
    match decision:
        case Begin():
            assert last is None or last.result is not None
            assert any_task.in_play or any_task.wish is Status.TODO
        case Launch(name=name):
            assert not live
            assert last is not None
            old = next((s for s in last.steps if s.name == name), None)
            assert old is None or isinstance(old.state, Prepared)
        case Judge() | Conclude() | Land():
            assert not live
            assert last is not None
            assert last.result is None
        case End(step=name, hard=hard):
            assert name in [s.name for s in live]
            assert not hard or live[0].kill or decision.why == "runaway"
        case Settle(status=Status.DONE):
            ok = last is not None and last.result is not None and last.result.outcome is Outcome.OK
            assert ok or any_task.wish is Status.DONE
        case Settle():
            assert last is None or last.result is not None
        case Wait(until=until):
            assert until > now or not any_task.in_play or any_task.wish or until == 0.0
    if any_task.wish in {Status.SKIPPED, Status.DONE, Status.FAILED}:
        assert isinstance(decision, End | Conclude | Settle | Wait)
