"""Verdicts: which findings block, when reviews pass, and that nothing goes on for ever. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agentjobs.core.board import Board
from agentjobs.core.budget import Spent
from agentjobs.core.decide import decide
from agentjobs.core.pauses import Pause
from agentjobs.core.review_findings import (
    Standing,
    alike,
    answered,
    blocking,
    combined,
    disputes,
    needed,
    rejection,
    weighed,
)
from agentjobs.core.reviews import (
    LOST_MAX,
    RUNS_MAX,
    TRIES_MAX,
    as_attempt,
    due,
    lacking,
    passed,
    standing,
    with_reviews,
)
from agentjobs.core.schedule import schedule
from agentjobs.model.decisions import Conclude, Decision, End, Land, Launch, Wait, Weigh
from agentjobs.model.facts import Attempt, Result, attempt_of
from agentjobs.model.outcomes import LAYER_2, TROUBLE, Outcome
from agentjobs.model.reviews import Finding, ReviewEnd, ReviewPlan
from agentjobs.model.spending import Spending
from agentjobs.model.steps import Exited, Kill, KillReason, Lost, Prepared, Running, Step, StepKind
from agentjobs.model.tasks import Row, Status, Task
from agentjobs.policy.agents import Agent
from agentjobs.policy.limits import Limits, Retry
from agentjobs.policy.policy import Landing, Policy, Profile
from agentjobs.policy.severities import SEVERITIES, Rule, Severity
from agentjobs.views.events_text import event_text
from tests.kit import builders
from tests.kit.builders import NOW, agent
from tests.kit.simulation import listed

if TYPE_CHECKING:
    from agentjobs.model.steps import StepState

COUNTS = st.integers(0, 6)
RULES = st.sampled_from(get_args(Rule))
TEXTS = st.text("ab1 -", min_size=1, max_size=6)
FINDINGS = st.builds(
    Finding, file=st.sampled_from(["x", "y"]), severity=st.sampled_from(SEVERITIES), trigger=TEXTS, impact=TEXTS,
    line=st.integers(0, 9), title=st.sampled_from(["", "t"]), blob=st.sampled_from(["1", "2"]),
)  # fmt: skip


def test_the_severities_of_the_policy_are_those_of_a_verdict() -> None:
    assert get_args(Severity) == SEVERITIES


# --- the pass rule ----------------------------------------------------------------------------------------


@given(RULES, COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_pass_rule_says_what_its_name_says(rule: str, passing: int, rejecting: int, absent: int, left: int) -> None:
    reviewers = passing + rejecting + absent + left
    if not reviewers:
        return
    stands = combined(rule, reviewers, passing, rejecting, absent)
    enough = {"all": passing == reviewers, "any": passing > 0, "majority": 2 * passing > reviewers}[rule]
    assert (stands is Standing.PASSED) == enough
    if not enough:
        assert (stands is Standing.OPEN) == (left > 0), "everybody is heard before work is rejected"
    if stands is Standing.REJECTED:
        assert rejecting > 0, "nobody is rejected for want of a verdict"
    if stands is Standing.ABSENT:
        assert absent > 0
        assert combined(rule, reviewers, passing + absent, rejecting, 0) is Standing.PASSED
        assert combined(rule, reviewers, passing, rejecting + absent, 0) is Standing.REJECTED


@given(RULES, st.integers(1, 9))
def test_as_many_must_pass_as_there_are_at_most(rule: str, reviewers: int) -> None:
    assert 1 <= needed(rule, reviewers) <= reviewers


@given(st.lists(st.lists(FINDINGS, max_size=3), min_size=1, max_size=3), RULES, st.sampled_from(SEVERITIES), st.data())
def test_another_finding_never_makes_rejected_work_pass(
    given_: list[list[Finding]], rule: str, blocks: str, data: st.DataObject
) -> None:
    before = stands(given_, rule, blocks)
    at = data.draw(st.integers(0, len(given_) - 1))
    more = [*given_]
    more[at] = [*more[at], data.draw(FINDINGS)]
    after = stands(more, rule, blocks)
    assert before is Standing.PASSED or after is Standing.REJECTED


@given(st.lists(FINDINGS, max_size=5))
def test_the_stricter_the_fewer_pass(findings: list[Finding]) -> None:
    held = [len(blocking(findings, severity)) for severity in SEVERITIES]
    assert held == sorted(held, reverse=True)
    assert held[0] == len(findings)


def stands(verdicts: list[list[Finding]], rule: str = "all", blocks: str = "high") -> Standing:
    names = tuple(f"r{n}" for n in range(len(verdicts)))
    steps = [review(n, name, found) for n, (name, found) in enumerate(zip(names, verdicts, strict=True), 1)]
    return standing(attempt(*steps, reviewers=names, rule=rule, blocks=blocks))


# --- the same again ---------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from("12"), min_size=1, max_size=12))
def test_a_finding_blocks_no_more_than_twice_while_its_file_stays(blobs: str) -> None:
    """Whatever else happens: once it was answered, what is raised a third time about the file as it is lets go."""
    ends: list[ReviewEnd] = []
    for number, blob in enumerate(blobs):
        finding = Finding("f", "critical", f"It breaks at line {number}!", "bad", line=number, blob=blob)
        (found,) = weighed([finding], ends)
        before = [end.findings[0].blob for end in ends]
        assert found.disputed == (len(before) >= 2 and before[-1] == blob and len({*before, blob}) > 1)
        ends.append(ReviewEnd(Outcome.OK, NOW, True, (found,)))
    held = [bool(blocking(end.findings, "low")) for end in ends]
    for at in range(2, len(blobs)):
        if blobs[at] == blobs[at - 1]:
            assert held[at] == (len(set(blobs[: at + 1])) == 1), "without a change of the file it is not answered"


@given(FINDINGS, FINDINGS)
def test_the_same_is_the_same_file_and_words(one: Finding, other: Finding) -> None:
    assert alike(one, one)
    assert alike(one, other) == alike(other, one)
    assert alike(one, replace(one, line=one.line + 7, severity="low", impact="else"))
    if one.file != other.file:
        assert not alike(one, other)


def test_what_was_raised_by_somebody_else_is_not_repeated() -> None:
    finding = Finding("f", "high", "x", "y", blob="1")
    assert not weighed([finding], [])[0].disputed
    once = ReviewEnd(Outcome.OK, NOW, True, (finding,))
    assert not weighed([finding], [once])[0].disputed
    assert not weighed([finding], [once, once])[0].disputed
    other = ReviewEnd(Outcome.OK, NOW, True, (replace(finding, blob="0"),))
    assert weighed([finding], [other, once])[0].disputed


# --- the texts -------------------------------------------------------------------------------------------


def test_the_next_attempt_is_told_what_blocks_and_briefly_the_rest() -> None:
    held = Finding("a.py", "high", "an empty  list", "it\nraises", line=3, title="No guard")
    mild = Finding("b.py", "low", "a long name", "ugly")
    found = rejection(Result(Outcome.REJECTED, NOW, tree="t"), attempt(review(1, "r0", [held, mild])))
    assert found.detail == "by r0: a.py:3 (high) No guard"
    assert "- a.py:3: high, found by r0: No guard" in found.errors
    assert "  What triggers it: an empty list" in found.errors
    assert "  Impact: it raises" in found.errors
    assert "- b.py (low, r0) a long name" in found.errors
    assert found.tree == ""


def test_the_same_findings_have_the_same_signature_whatever_their_lines() -> None:
    def signature(*findings: Finding) -> str:
        return rejection(Result(Outcome.REJECTED, NOW), attempt(review(1, "r0", [*findings]))).signature

    one, other = Finding("a", "high", "at line 3", "x", line=3), Finding("b", "high", "else", "x")
    assert signature(one, other) == signature(other, replace(one, line=4, trigger="at line 4"))
    assert signature(one) != signature(other)


@given(st.lists(FINDINGS, min_size=1, max_size=30))
def test_what_is_told_is_bounded(findings: list[Finding]) -> None:
    long = [replace(f, trigger=f.trigger * 2000, severity="high") for f in findings]
    found = rejection(Result(Outcome.REJECTED, NOW), attempt(review(1, "r0", long)))
    assert len(found.errors) < 6100
    assert len(found.detail) < 250
    assert "\n" not in found.detail


def test_what_became_of_earlier_findings_is_told_once_each() -> None:
    old = Finding("a", "high", "it breaks at 3", "x", blob="1")
    new = replace(old, trigger="It breaks at 5.", blob="2", line=5)
    attempts = [attempt(review(1, "r0", [old])), attempt(review(1, "r0", [new, replace(old, file="b")]), number=2)]
    told = answered(attempts, {"a": "2", "b": "9"})
    assert [(one["file"], one["line"], one["answer"]) for one in told] == [
        ("a", "5", "the file is as it was"), ("b", "", "the file was changed"),
    ]  # fmt: skip


def test_a_disputed_finding_is_told_where_it_would_have_blocked() -> None:
    finding = Finding("a", "high", "x", "y", line=2, disputed=True)
    assert disputes(attempt(review(1, "r0", [finding]))) == "disputed: a:2 (high, r0)"
    assert disputes(attempt(review(1, "r0", [replace(finding, severity="low")]))) == ""


# --- what an attempt needs next ---------------------------------------------------------------------------


def review(
    number: int,
    name: str = "r0",
    found: list[Finding] | None = None,
    *,
    state: StepState | None = None,
    outcome: Outcome = Outcome.OK,
    kill: str = "",
    heard: bool = True,
    at: float = NOW,
    cost: float = 0.0,
) -> Step:
    """A review that has ended: with a verdict (``found``), or without one."""
    spent = Spending(input=5, output=2, cost=cost) if cost else Spending()
    end = ReviewEnd(outcome, at, found is not None, tuple(found or ()), detail="none", spent=spent)
    return Step(
        f"review-{number}", StepKind.REVIEW, state or Exited(0, at), at, Kill(KillReason(kill), at) if kill else None,
        review=ReviewPlan(name, f"agent-{name}", "c", "b", ("x",), "", at), verdict=end if heard else None,
    )  # fmt: skip


def attempt(
    *steps: Step, reviewers: tuple[str, ...] = ("r0",), rule: str = "all", blocks: str = "high", number: int = 1,
    asked_at: float = 0.0, approved: bool = False,
) -> Attempt:  # fmt: skip
    done = (agent(Exited(0, NOW)), Step("verify", StepKind.VERIFY, Exited(0, NOW), commit="c"))
    made = builders.attempt(
        *done, *steps, number=number, end=Outcome.OK, review=reviewers, review_pass=rule, review_blocks=blocks
    )
    return replace(made, approved=approved, asked_at=asked_at)


PROFILES = {"default": Profile(agent="a", review=("r0",)), **{f"r{n}": Profile(agent=f"agent-r{n}") for n in range(3)}}
AGENTS = {name: Agent(command=("x",), stop=("INT", "TERM")) for name in ("a", "agent-r0", "agent-r1", "agent-r2")}
POLICY = Policy(profiles=PROFILES, agents=AGENTS, limits=Limits(breaker=0, start_interval_s=0.0))


def ask(one: Attempt, now: float = NOW + 1, policy: Policy = POLICY) -> Decision:
    return decide(Task(Row("t", 2, Status.TODO), 1, (one,)), policy, now)


def test_verified_work_is_judged_before_it_lands() -> None:
    assert ask(attempt()) == Launch("review-1", StepKind.REVIEW)
    assert ask(attempt(review(1, state=Prepared(), heard=False))) == Launch("review-1", StepKind.REVIEW)
    assert ask(attempt(review(1, heard=False))) == Weigh("review-1")
    assert ask(attempt(review(1, state=Lost(NOW), heard=False))) == Weigh("review-1")
    assert ask(attempt(review(1, found=[]))) == Land()
    assert ask(attempt(review(1, found=[Finding("f", "high", "x", "y")]))) == Conclude(Outcome.REJECTED)
    assert ask(attempt(review(1, found=[Finding("f", "medium", "x", "y")]))) == Land()
    assert ask(attempt(reviewers=())) == Land()
    assert Outcome.REJECTED in LAYER_2


def test_reviewers_are_asked_one_after_the_other() -> None:
    two = ("r0", "r1")
    first = attempt(review(1, "r0", []), reviewers=two)
    assert (ask(first), due(first)) == (Launch("review-2", StepKind.REVIEW), "r1")
    rejected = attempt(review(1, "r0", [Finding("f", "critical", "x", "y")]), reviewers=two)
    assert ask(rejected) == Launch("review-2", StepKind.REVIEW), "the repair is to hear them all"
    assert ask(attempt(review(1, "r0", []), reviewers=two, rule="any")) == Land()


def test_a_reviewer_without_a_verdict_is_asked_again_and_then_a_person() -> None:
    once = attempt(review(1, outcome=Outcome.CRASHED))
    assert ask(once) == Launch("review-2", StepKind.REVIEW)
    twice = attempt(*(review(n, outcome=Outcome.CRASHED) for n in range(1, TRIES_MAX + 1)))
    decision = ask(twice)
    assert isinstance(decision, Wait)
    assert decision.until == 0
    assert lacking(twice)
    assert not passed(twice)
    again = replace(twice, asked_at=NOW + 1)
    assert ask(again) == Launch("review-3", StepKind.REVIEW)
    assert ask(replace(twice, approved=True)) == Land()


@given(st.sampled_from(sorted(TROUBLE)), st.integers(1, RUNS_MAX + 5))
def test_trouble_of_its_account_is_no_try_but_ends_some_day(outcome: Outcome, count: int) -> None:
    asked = attempt(*(review(n, outcome=outcome) for n in range(1, count + 1)))
    assert lacking(asked) == (count >= RUNS_MAX)


def test_a_reviewer_that_was_killed_with_its_runner_is_asked_three_times() -> None:
    for count in range(1, LOST_MAX + 1):
        asked = attempt(*(review(n, outcome=Outcome.LOST) for n in range(1, count + 1)))
        assert lacking(asked) == (count == LOST_MAX)


@given(st.lists(st.sampled_from([*TROUBLE, Outcome.CRASHED, Outcome.LOST, Outcome.OK]), max_size=2 * RUNS_MAX))
def test_whatever_reviewers_do_an_attempt_comes_to_an_end(outcomes: list[Outcome]) -> None:
    """Each run brings the attempt nearer to a verdict or to a person; no sequence of ends asks for ever."""
    steps: list[Step] = []
    for outcome in outcomes + [Outcome.CRASHED] * TRIES_MAX:
        if not isinstance(ask(attempt(*steps)), Launch):
            break
        steps.append(review(len(steps) + 1, outcome=outcome))
    assert not isinstance(ask(attempt(*steps)), Launch)
    assert len(steps) <= RUNS_MAX


def test_a_review_is_watched_as_an_agent_is() -> None:
    policy = replace(POLICY, limits=Limits(attempt_minutes=30, idle_minutes=10, verify_minutes=1))
    live = review(1, state=Running(1, NOW), heard=False)
    assert isinstance(ask(attempt(live), NOW + 300, policy), Wait), "verify_minutes is not for it"
    assert ask(attempt(live), NOW + 601, policy) == End("review-1", KillReason.SILENT, hard=False)
    busy = replace(live, state=Running(1, NOW + 1700))
    assert ask(attempt(busy), NOW + 1801, policy) == End("review-1", KillReason.TIMEOUT, hard=False)
    ending = replace(live, kill=Kill(KillReason.TIMEOUT, NOW))
    assert ask(attempt(ending), NOW + 11, policy) == End("review-1", KillReason.TIMEOUT, hard=False), "INT, then TERM"


def test_a_review_that_was_stopped_ends_its_attempt_as_stopped() -> None:
    assert ask(attempt(review(1, outcome=Outcome.STOPPED, kill="stopped"))) == Conclude(Outcome.STOPPED)


def test_what_a_review_costs_is_the_attempts() -> None:
    asked = attempt(review(1, found=[], cost=0.5), review(2, found=[], cost=0.5))
    result = Result(Outcome.OK, NOW, tokens=1, cost=1.0)
    assert with_reviews(result, asked) == replace(result, tokens=15, cost=2.0)


def test_a_review_seen_as_an_attempt_is_its_agents() -> None:
    asked = attempt(review(1, outcome=Outcome.LIMIT, at=NOW + 5))
    seen = as_attempt(asked, asked.steps[-1])
    assert (seen.intent.agent, seen.intent.profile, seen.intent.started_at) == ("agent-r0", "r0", NOW + 5)
    assert seen.end is not None
    assert seen.end.outcome is Outcome.LIMIT


# --- slots ------------------------------------------------------------------------------------------------


def rows_of(*attempts: Attempt) -> tuple[Task, ...]:
    tasks = []
    for number, one in enumerate(attempts):
        name = f"t{number}"
        tasks.append(Task(Row(name, number + 2, Status.TODO), 1, (replace(one, intent=replace(one.intent, id=name)),)))
    return tuple(tasks)


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_reviews_take_the_slots_of_agents(slots: int) -> None:
    policy = replace(POLICY, slots=slots, verify_slots=1)
    tasks = rows_of(attempt(), attempt(review(1, state=Running(1, NOW), heard=False)), attempt(), attempt())
    made = schedule(Board(tasks), lambda _: [Row("new", 9, Status.TODO)], policy, NOW + 1)
    begun = [action.id for action in made.actions]
    assert begun == ["t0", "t2", "t3", "new"][: slots - 1], "one runs; reviews go before new work"


def test_a_review_waits_for_its_own_account() -> None:
    limit = {"agent-r0": Pause(Outcome.LIMIT, NOW + 100, NOW, "limit")}
    made = schedule(Board(rows_of(attempt()), pauses=limit), lambda _: (), POLICY, NOW + 1)
    assert (made.actions, made.alive, made.until) == ((), True, NOW + 100)
    other = {"a": Pause(Outcome.LIMIT, NOW + 100, NOW, "limit")}
    made = schedule(Board(rows_of(attempt()), pauses=other), lambda _: (), POLICY, NOW + 1)
    assert [action.decision for action in made.actions] == [Launch("review-1", StepKind.REVIEW)]
    stuck = {"agent-r0": Pause(Outcome.AUTH, NOW, NOW, "logged out", stuck=True)}
    made = schedule(Board(rows_of(attempt()), pauses=stuck), lambda _: (), POLICY, NOW + 1)
    assert (made.actions, made.alive, made.waiting) == ((), False, True)
    assert "agent-r0" in made.short


def test_a_stuck_reviewer_keeps_nobody_waiting_for_ever() -> None:
    stuck = {"agent-r0": Pause(Outcome.AUTH, NOW, NOW, "logged out", stuck=True)}
    (mine,) = rows_of(attempt())
    mine = replace(mine, row=replace(mine.row, files=("x",)))
    made = schedule(Board((mine,), pauses=stuck), listed([Row("new", 9, Status.TODO, files=("x",))]), POLICY, NOW + 1)
    assert (made.actions, made.alive, made.waiting) == ((), False, True)
    assert "agent-r0" in made.short


def test_who_has_no_review_waits_for_a_person() -> None:
    asked = attempt(*(review(n, outcome=Outcome.CRASHED) for n in range(1, TRIES_MAX + 1)))
    made = schedule(Board(rows_of(asked)), lambda _: (), POLICY, NOW + 1)
    assert (made.actions, made.alive, made.waiting) == ((), False, True)
    assert "reviewers gave no verdict on t0" in made.short


@pytest.mark.parametrize("approval", [False, True])
def test_who_waits_for_a_person_keeps_nobody_waiting_for_ever(approval: bool) -> None:
    """Not a row that wants the same files, nor a task that waits for the sweep."""
    lacks = attempt(*(review(n, outcome=Outcome.CRASHED) for n in range(1, TRIES_MAX + 1)))
    waits = attempt(reviewers=()) if approval else lacks
    policy = replace(POLICY, landing=Landing(approve=approval), retry=Retry(repairs=0, resumes=0))
    mine, other = rows_of(waits, attempt(reviewers=()))
    mine = replace(mine, row=replace(mine.row, files=("x",)))
    blocked = Row("new", 9, Status.TODO, files=("x",))
    over = attempt_of(other.attempts[0].intent, other.attempts[0].steps, result=Result(Outcome.VERIFY_FAILED, NOW))
    spent = replace(other, attempts=(over,))
    boards: list[tuple[tuple[Task, ...], list[Row]]] = [((mine,), [blocked]), ((mine, spent), [])]
    for tasks, ready in boards:
        made = schedule(Board(tasks, total=9), listed(ready), policy, NOW + 1)
        assert (made.actions, made.alive, made.waiting) == ((), False, True)
        assert "approve" in made.short
    limited = replace(policy, limits=Limits(run_attempts=1))
    made = schedule(Board((mine,), spent=Spent(attempts=1)), lambda _: (), limited, NOW)
    assert (made.alive, made.waiting) == (False, True)
    assert "approve" in made.short


def test_past_its_hard_cap_the_run_ends_reviewers_too_and_that_is_no_try() -> None:
    policy = replace(POLICY, limits=Limits(breaker=0, run_cost_usd=1.0))
    live = attempt(review(1, state=Running(1, NOW), heard=False))
    made = schedule(Board(rows_of(live), spent=Spent(cost=2.0)), lambda _: (), policy, NOW + 1)
    assert [(a.decision.step, a.decision.why) for a in made.actions if isinstance(a.decision, End)] == [
        ("review-1", "over_budget")
    ]
    again = attempt(*(review(n, outcome=Outcome.STOPPED, kill="over_budget") for n in range(1, TRIES_MAX + 2)))
    assert ask(again) == Launch(f"review-{TRIES_MAX + 2}", StepKind.REVIEW)


def test_one_start_at_a_time_where_starts_are_staggered() -> None:
    policy = replace(POLICY, limits=Limits(breaker=0, start_interval_s=2.0))
    made = schedule(Board(rows_of(attempt(), attempt())), lambda _: [Row("new", 9, Status.TODO)], policy, NOW + 10)
    assert len(made.actions) == 1
    assert made.until == NOW + 12


# --- what people read -------------------------------------------------------------------------------------


def test_what_reviewers_do_is_told_in_a_line() -> None:
    told = {"attempt": 2, "reviewer": "critic", "step": "review-1", "findings": 3, "detail": "it crashed"}
    assert event_text({"event": "review", **told}) == "attempt 2: critic reviews it (review-1)"
    assert event_text({"event": "verdict", **told}) == "attempt 2: critic has reviewed it, 3 findings"
    assert event_text({"event": "verdict", **told, "findings": 1}) == "attempt 2: critic has reviewed it, 1 finding"
    assert event_text({"event": "no verdict", **told}) == "attempt 2: critic gave no verdict: it crashed"
