"""The rules of phases by themselves: never planned twice, never a row too early, always some way on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from agentjobs.core.phase_counts import Census
from agentjobs.core.phases import Planning, Stage, due, lost_too_often, next_of_planning, reached, waits
from agentjobs.model.decisions import Conclude, End, Launch, Wait
from agentjobs.model.facts import Attempt, Intent, Mode, Result, attempt_of
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited, Kill, KillReason, Lost, Prepared, Running, Step, StepKind
from agentjobs.model.tasks import Status
from agentjobs.policy.phases import filled
from agentjobs.policy.policy import Policy
from agentjobs.table.table import parse

if TYPE_CHECKING:
    from agentjobs.model.steps import StepState

DONE = Stage("a", Planning.DONE, total=4, done=4)


def test_the_first_phase_is_open_and_the_next_when_enough_is_done() -> None:
    first = replace(DONE, done=3, undone=("x",))
    second = Stage("b", Planning.DUE)
    assert due([Stage("a", Planning.DUE), second]).plan == "a"
    assert due([Stage("a", Planning.DUE), second]).closed == {"a", "b"}
    assert due([replace(first, going=1), second]).closed == {"b"}
    assert due([first, second]).plan == ""
    assert "1 of 4 tasks of a are not DONE (x; min_done = 1)" in waits([first, second])
    assert due([first, replace(second, min_done=0.75)]).plan == "b"
    assert due([first, replace(second, min_done=0.76)]).plan == ""
    assert due([DONE, second]).plan == "b"
    assert due([DONE, replace(second, in_play=False)]).plan == ""
    assert waits([DONE, replace(second, in_play=False)]) == ""


def test_a_phase_without_a_plan_is_written_by_hand() -> None:
    stages = [Stage("a"), Stage("b", total=1, going=1, undone=("x",))]
    assert due(stages).closed == frozenset()
    assert due([replace(stages[1], name="a"), Stage("b")]).closed == {"b"}


def test_a_phase_that_is_planned_again_is_closed_meanwhile() -> None:
    again = Stage("a", Planning.DONE, again=True, total=1, done=1)
    assert due([again, Stage("b")]).plan == "a"
    assert due([again, Stage("b")]).closed == {"a", "b"}
    assert due([replace(again, going=1), Stage("b")]) == replace(due([replace(again, going=1), Stage("b")]), plan="")
    assert due([replace(again, planning=Planning.RUNS), Stage("b")]).closed == {"a", "b"}


def test_who_waits_for_a_phase_that_is_not_in_play() -> None:
    idle = Stage("a", Planning.DONE, in_play=False, total=2, going=2, undone=("x", "y"))
    assert "phase b waits for phase a, which is not over and not in play" in waits([idle, Stage("b")])
    assert "2 of its tasks are not in play" in waits([replace(idle, in_play=True), Stage("b")])


# --- a whole run, whatever happens in it


class Model(Struct):
    """A phase as it really is."""

    name: str
    has_plan: bool
    min_done: float
    levels: int
    """How many plannings add rows; 0: its rows are written by hand."""
    plannings: int = 0
    runs: bool = False
    asks: bool = False
    rows: list[str] = []
    """The status of each."""


@st.composite
def models(draw: st.DrawFn) -> list[Model]:
    found = []
    for at in range(draw(st.integers(1, 4))):
        has_plan = draw(st.booleans())
        levels = draw(st.integers(1, 3)) if has_plan else 0
        rows = [] if has_plan else ["TODO"] * draw(st.integers(0, 3))
        found.append(Model(f"p{at}", has_plan, draw(st.sampled_from([0.5, 1.0])), levels, rows=rows))
    return found


def stages(phases: list[Model]) -> list[Stage]:
    return [
        Stage(
            one.name,
            Planning.BY_HAND
            if not one.has_plan
            else Planning.RUNS
            if one.runs
            else Planning.DONE
            if one.plannings
            else Planning.DUE,
            one.asks,
            one.min_done,
            total=len(one.rows),
            done=one.rows.count("DONE"),
            going=one.rows.count("TODO") + one.rows.count("WORKS"),
            undone=tuple(f"{one.name}-{n}" for n, status in enumerate(one.rows) if status != "DONE"),
        )
        for one in phases
    ]


@settings(max_examples=300, deadline=None)
@given(models(), st.data())
def test_each_phase_is_planned_once_and_all_comes_to_an_end(phases: list[Model], data: st.DataObject) -> None:
    for _ in range(400):
        now = stages(phases)
        found = due(now)
        ways = [("plan", one) for one in phases if one.name == found.plan]
        ways += [("over", one) for one in phases if one.runs]
        ways += [("begin", one) for one in phases if one.name not in found.closed and "TODO" in one.rows]
        ways += [("end", one) for one in phases if "WORKS" in one.rows]
        if not ways:
            break
        what, phase = data.draw(st.sampled_from(ways))
        at = phases.index(phase)
        if what == "plan":
            assert not phase.runs
            assert phase.plannings == 0 or phase.asks, "twice in one generation"
            assert phase.plannings <= phase.levels
            phase.runs = True
        elif what == "over":
            phase.runs = False
            phase.plannings += 1
            phase.asks = phase.levels > 1 and phase.plannings <= phase.levels
            if phase.plannings <= phase.levels:
                phase.rows = [*phase.rows, "TODO", "TODO"]
        elif what == "begin":
            before = phases[at - 1] if at else None
            assert before is None or not {"TODO", "WORKS"} & set(before.rows), "begun too early"
            assert not phase.runs and (phase.plannings or not phase.has_plan), "begun before it was planned"  # noqa: PT018
            phase.rows[phase.rows.index("TODO")] = "WORKS"
        else:
            phase.rows[phase.rows.index("WORKS")] = data.draw(st.sampled_from(["DONE", "DONE", "DONE", "FAILED"]))
            again = data.draw(st.integers(0, 9))
            if again == 0 and phase.rows.count("FAILED"):  # a person retries it, whatever goes on meanwhile
                phase.rows[phase.rows.index("FAILED")] = "TODO"
    else:
        return  # retried for ever
    now = stages(phases)
    why = waits(now)
    over = reached(now) == len(now) and all(stage.over for stage in now)
    assert over == (not why), "either all is over, or a person learns what is missing"
    assert not why or "min_done" in why, why
    assert not over or all(one.plannings == one.levels + (one.levels > 1) for one in phases)


# --- counting


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["", "a", " b ", "other"]), st.sampled_from(list(Status))), max_size=6),
    st.lists(st.tuples(st.integers(0, 7), st.sampled_from(list(Status))), max_size=12),
)
def test_what_is_counted_row_by_row_is_what_there_is(
    rows: list[tuple[str, Status]], changes: list[tuple[int, Status]]
) -> None:
    phases = ("default", "a", "b")
    cells = [(f"t{at}", text) for at, (text, _) in enumerate(rows)]
    lines = ["id\tprofile", *("\t".join(cell) for cell in cells)]
    profiles = list(parse("\n".join(lines).encode() + b"\n").profiles())
    statuses = {f"t{at}": status for at, (_, status) in enumerate(rows)}
    kept = Census(phases, profiles, statuses)
    for at, status in changes:
        statuses[f"t{at}"] = status
        kept.note(f"t{at}", status)
    anew = Census(phases, profiles, statuses)
    assert (kept.done, kept.open) == (anew.done, anew.open)
    for name in phases:
        mine = [i for i, text in cells if (text.strip() or "default") == name]
        assert kept.total(name) == sum(statuses[i] is not Status.SKIPPED for i in mine)
        undone = [i for i in mine if statuses[i] not in {Status.DONE, Status.SKIPPED}]
        assert sorted(kept.undone(name, 99)) == undone
        assert kept.open[name] == {i for i in undone if statuses[i] is not Status.FAILED}


# --- one planning


def planning(phase: StepState | None, kill: str = "", result: Outcome | None = None) -> Attempt:
    intent = Intent("+plan.a", 1, 1, Mode.FIRST, "a", "", 0.0, "")
    killed = Kill(KillReason(kill), 0.0) if kill else None
    steps = () if phase is None else (Step("plan", StepKind.PLAN, phase, 0.0, killed),)
    return attempt_of(intent, steps, result=Result(result, 1.0) if result else None)


@pytest.mark.parametrize(
    ("phase", "kill", "wanted", "expected"),
    [
        (None, "", True, Launch("plan", StepKind.PLAN)),
        (Prepared(), "", True, Launch("plan", StepKind.PLAN)),
        (None, "", False, Conclude(Outcome.STOPPED)),
        (Running(1, 0.0, 0), "", False, End("plan", KillReason.STOPPED, hard=False)),
        (Exited(0, 1.0, 0), "", True, Conclude(Outcome.OK)),
        (Exited(0, 1.0, 0), "", False, Conclude(Outcome.OK)),
        (Exited(2, 1.0, 0), "", True, Conclude(Outcome.CRASHED)),
        (Exited(2, 1.0, 0), "", False, Conclude(Outcome.STOPPED)),
        (Lost(1.0), "", False, Conclude(Outcome.STOPPED)),
        (Lost(1.0), "", True, Conclude(Outcome.LOST)),
        (Lost(1.0), "timeout", True, Conclude(Outcome.TIMEOUT)),
        (Exited(143, 1.0, 0), "stopped", False, Conclude(Outcome.STOPPED)),
    ],
)  # fmt: skip
def test_what_a_planning_needs_next(phase: StepState | None, kill: str, wanted: bool, expected: object) -> None:
    assert next_of_planning(planning(phase, kill), Policy(), 1.0, wanted=wanted) == expected


def test_a_planning_that_runs_has_a_limit() -> None:
    running = planning(Running(1, 0.0, 0))
    wait = next_of_planning(running, Policy(), 1.0, wanted=True)
    assert isinstance(wait, Wait)
    assert wait.until == Policy().limits.verify_s
    assert next_of_planning(running, Policy(), wait.until, wanted=True) == End("plan", KillReason.TIMEOUT, hard=False)


def test_plannings_that_are_lost_again_and_again() -> None:
    lost, stopped = planning(Lost(0.0), result=Outcome.LOST), planning(None, result=Outcome.STOPPED)
    assert not lost_too_often([lost])
    assert lost_too_often([stopped, lost, lost])
    assert not lost_too_often([lost, stopped])


def test_what_goes_without_saying_of_a_row() -> None:
    assert filled({"id": "x"}, "write", "out/{id}.md") == {
        "id": "x", "profile": "write", "output": "out/x.md", "files": "out/x.md",
    }  # fmt: skip
    assert filled({"id": "x", "profile": "other"}, "write", "out/{id}.md") == {"id": "x", "profile": "other"}
    assert filled({"id": "x", "output": "a b", "files": "c"}, "write", None)["files"] == "c"
    assert filled({"id": "x", "output": "a b"}, "write", None)["files"] == "'a b'"
