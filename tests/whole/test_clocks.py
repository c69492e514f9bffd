"""A machine that sleeps, a clock that is set, a stop of everything: no agent pays, and true limits still hold."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentjobs.core.elapsed import LONG_S, Looks, Pace, Reading, age_of, gap_before, paced
from agentjobs.launch.step import StepFiles
from agentjobs.model.steps import Running, Step, StepKind
from agentjobs.project.step_clocks import Lookout
from tests.kit.harness import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.kit.harness import Project

pytestmark = pytest.mark.sample(1)

SHIFT = """\
import os, time
real, ahead = time.time, float(os.environ["AHEAD"])
time.time = lambda: real() + ahead
"""
UNTIL_TOLD = 'while ! test -e "$AGENTJOBS_ROOT/../go"; do echo tick; sleep 0.05; done; echo ok >"$AGENTJOBS_TASK.txt"'
HOUR = 3600


def poll_ahead(project: Project, seconds: float) -> int:
    """Poll once with a wall clock that is ahead."""
    wrapper = project.directory / "shifted"
    wrapper.mkdir(exist_ok=True)
    (wrapper / "sitecustomize.py").write_text(SHIFT)
    env = {"PYTHONPATH": f"{wrapper}:{REPOSITORY}", "AHEAD": str(seconds)}
    return project.run("poll", env=env).code


def waiting(project: Project, step: str, **limits: float) -> None:
    """Dispatch a task whose agent, setup, check or gate runs until a file makes it end."""
    quick = 'echo ok >>"$AGENTJOBS_TASK.txt"'
    project.configure(
        limits=limits,
        agents={"fake": {"command": ["sh", "-c", UNTIL_TOLD if step == "agent" else quick], "rules": []}},
        profiles={"default": {"verify": [UNTIL_TOLD if step == "verify" else "true"]}},
        workspace={"setup": UNTIL_TOLD if step == "setup" else "true"},
        landing={"gate": [UNTIL_TOLD if step == "gate" else "true"], "batch": 1},
        retry={"resumes": 0, "repairs": 0, "restarts": 0},
    )
    project.rows({"id": "a"})
    project.dispatch()
    log = "output.log" if step == "agent" else f"{step}.log"
    give_up_at = time.monotonic() + 60
    while not any(b"tick" in path.read_bytes() for path in project.root.glob(f".agentjobs/attempts/a/*/{log}")):
        project.poll(code=0)
        assert time.monotonic() < give_up_at, project.story()


@pytest.mark.sample(1)
@pytest.mark.parametrize("step", ["agent", "setup", "verify", "gate"])
def test_a_jump_of_the_clock_ends_nothing(project: Project, step: str) -> None:
    waiting(project, step)
    for ahead in (HOUR, 3 * HOUR, -3 * HOUR, 0, 3 * HOUR, 3 * HOUR):
        assert poll_ahead(project, ahead) == 0
    assert not list(project.root.glob(".agentjobs/attempts/*/*/*.kill.json"))
    (project.directory / "go").touch()
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE"}
    assert project.table()["a"]["attempt"] == "1"


@pytest.mark.parametrize("ahead", [3 * HOUR, -3 * HOUR])
def test_a_step_that_takes_too_long_is_ended_whatever_the_clock_says(project: Project, ahead: float) -> None:
    waiting(project, "agent", attempt_minutes=0.05)
    give_up_at = time.monotonic() + 60
    while not (kills := list(project.root.glob(".agentjobs/attempts/a/001/agent.kill.json"))):
        poll_ahead(project, ahead)
        assert time.monotonic() < give_up_at, project.story()
    assert '"timeout"' in kills[0].read_text()


# --- added up from look to look


def looks(
    events: Iterable[tuple[float, float, float, bool]], began: float = 0.0, boot: str = "x"
) -> tuple[list[Pace], list[Reading]]:
    """Follow one step through looks: seconds awake and asleep, a jump of the clock, whether its output moved."""
    before, found, readings = Looks(Reading(1e9, 100.0, 100.0, boot)), [], [Reading(1e9, 100.0, 100.0, boot)]
    output = (1e9, 0)
    for awake, asleep, jump, moved in events:
        last = readings[-1]
        now = Reading(last.wall + awake + asleep + jump, last.awake + awake, last.uptime + awake + asleep, boot)
        output = (now.wall, output[1] + 1) if moved else output
        pace = paced(before, now, "a", output, age_of(now, 1e9, 100.0 + began))
        found.append(pace)
        readings.append(now)
        before = Looks(now, gap_before(before, now) or 0.0, {"a": pace})
    return found, readings


EVENTS = st.lists(
    st.tuples(st.floats(0, 600), st.one_of(st.just(0.0), st.floats(0, 1e5)), st.floats(-1e6, 1e6), st.booleans()),
    min_size=1,
    max_size=20,
)


@given(EVENTS)
def test_a_step_has_run_for_as_long_as_the_machine_was_awake(events: list[tuple[float, float, float, bool]]) -> None:
    found, readings = looks(events)
    for pace, now in zip(found, readings[1:], strict=True):
        assert pace.ran_s == pytest.approx(now.awake - readings[0].awake)
        assert 0 <= pace.silent_s <= pace.ran_s + 1e-6


@given(EVENTS)
def test_neither_sleep_nor_a_clock_that_is_set_makes_a_difference(
    events: list[tuple[float, float, float, bool]],
) -> None:
    calm = [(awake, 0.0, 0.0, moved) for awake, _, _, moved in events]
    for one, other in zip(looks(events)[0], looks(calm)[0], strict=True):
        assert (one.ran_s, one.silent_s) == pytest.approx((other.ran_s, other.silent_s))


@given(st.integers(1, 50), st.integers(1, 50), st.floats(LONG_S + 1, 1e5))
def test_one_stop_of_everything_is_no_silence(before: int, after: int, stop: float) -> None:
    second = (1.0, 0.0, 0.0, False)
    found, _ = looks([second] * before + [(stop, 0.0, 0.0, False)] + [second] * after)
    assert found[-1].silent_s == pytest.approx(before - 1 + after)
    assert found[-1].ran_s == pytest.approx(before + stop + after)


@given(st.floats(LONG_S + 1, 1e5), st.integers(3, 30))
def test_rare_looks_count_from_the_second_one(gap: float, count: int) -> None:
    found, _ = looks([(gap, 0.0, 0.0, False)] * count)
    assert found[-1].silent_s == pytest.approx(gap * (count - 1))
    assert looks([(gap, 0.0, 0.0, True)] * count)[0][-1].silent_s == 0


def test_another_boot_and_a_state_that_is_gone_begin_anew() -> None:
    old = Looks(Reading(1e9, 500.0, 900.0, "x"), 1.0, {"a": Pace(400.0, 300.0, (1e9, 1))})
    for before, boot in ((old, "y"), (None, "x")):
        pace = paced(before, Reading(1e9, 50.0, 60.0, boot), "a", (1e9, 1), 20.0)
        assert pace == Pace(20.0, 0.0, (1e9, 1))


def test_a_step_that_begins_late_in_a_long_turn_is_not_silent(tmp_path: Path) -> None:
    lookout = Lookout(tmp_path, 1000.0)
    lookout.look(1060.0)  # the turn has lasted that long
    step = Step("agent", StepKind.AGENT, Running(1, output_at=1059.0), started_at=1059.0)
    seen = lookout.corrected("a/1/agent", step, StepFiles(tmp_path, "agent")).state
    assert isinstance(seen, Running)
    assert 1059.0 + seen.unheard_s >= 1059.0
    assert 1059.0 + seen.asleep_s >= 1059.0
    lookout.save()
    kept = Lookout(tmp_path, 1060.0).before
    assert kept is not None
    assert kept.steps["a/1/agent"].silent_s < 30
