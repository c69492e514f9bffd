"""Limits, overload, logins: what one agent meets holds for all; nothing is spent and nobody is lost."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.harness import Project


def test_after_a_limit_nothing_starts_until_the_reset(project: Project) -> None:
    """Six tasks; the third meets a limit that ends in some seconds; those at work finish; then one by one."""
    project.configure(slots=3, retry={"resumes": 0, "repairs": 0, "restarts": 0})
    plans = {"a": "sleep:1", "b": "sleep:1", "c": "limit:in 6 seconds,sleep:3"} | dict.fromkeys("defg", "sleep:3")
    project.plans(**plans)
    project.dispatch()
    project.wait_for(lambda: len(project.ledger()) == 3)
    project.poll_until(lambda: project.state("pause"))
    pause = project.state("pause")
    assert pause["outcome"] == "limit"
    done = project.poll()
    assert done.code == 0
    assert "paused until" in done.stderr
    looped = project.loop()
    assert looped.last == 2
    assert set(project.statuses().values()) == {"DONE"}, project.story()
    starts = project.ledger()
    late = [start for start in starts if start.at > pause["at"]]
    assert len(starts) - len(late) == 3, "not one further start before the reset"
    assert min(start.at for start in late) >= pause["until"]
    gaps = [b.at - a.at for a, b in pairwise(late)]
    assert gaps[0] > 0.5, f"the restart is staggered: {gaps}"
    assert project.starts()["c"] == 2, "no attempt of c was spent"
    assert project.modes("c") == ["first", "resume"]


def test_many_that_meet_one_limit_are_one_pause(project: Project) -> None:
    project.configure(slots=4)
    project.plans(**dict.fromkeys("abcd", "limit:in 3 seconds,ok"), e="ok")
    statuses = project.settle()
    assert set(statuses.values()) == {"DONE"}, project.story()
    assert project.starts() == {"a": 2, "b": 2, "c": 2, "d": 2, "e": 1}


def test_a_limit_without_a_time_waits_for_minutes(project: Project) -> None:
    project.plans(a="limit", b="ok", c="ok")
    project.configure(slots=1)
    project.dispatch()
    project.poll_until(lambda: project.state("pause"))
    pause = project.state("pause")
    assert pause["until"] - pause["at"] > 200
    began = time.monotonic()
    assert project.poll("--wait", "1").code == 0
    assert time.monotonic() - began > 0.9
    assert project.starts() == {"a": 1}
    assert project.statuses()["a"] == "TODO"


def test_a_busy_server_is_left_alone_for_a_while(project: Project) -> None:
    project.plans(a="overloaded", b="ok")
    project.configure(slots=1)
    project.dispatch()
    project.poll_until(lambda: project.state("pause"))
    pause = project.state("pause")
    assert pause["outcome"] == "overloaded"
    assert 10 < pause["until"] - pause["at"] < 30
    assert project.starts() == {"a": 1}


def test_logged_out_is_tried_once_more_and_then_a_person_is_needed(project: Project) -> None:
    project.configure(slots=3)
    project.plans(**dict.fromkeys("abcde", "auth,auth,ok"))
    project.dispatch()
    began = time.time()
    looped = project.loop()
    assert (looped.code, looped.last) == (1, 3)
    assert time.time() - began < 20
    starts = project.ledger()
    assert len(starts) == 4, "three at once, and one retry for all"
    first = max(start.at for start in starts[:3])
    assert 1.5 < starts[3].at - first < 15
    assert set(project.statuses().values()) <= {"TODO", ""}
    assert "401" in looped.stderr
    assert "dispatch" in looped.stderr, "it says how to go on"
    assert project.poll().code == 3
    assert len(project.ledger()) == 4
    # Logged in again: dispatch goes on, and no attempt was spent.
    project.configure(agents={"fake": {"env": {"FAKE_WORD": "ok"}}})
    assert set(project.settle().values()) == {"DONE"}, project.story()


def test_a_wrong_model_name_halts_too(project: Project) -> None:
    project.plans(a="infra", b="infra", c="infra")
    project.configure(slots=1)
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3
    assert project.starts().total() == 2
    assert set(project.statuses().values()) <= {"TODO", ""}


def test_a_program_that_is_not_there_halts(project: Project) -> None:
    project.configure(agents={"fake": {"command": ["no-such-agent"], "resume": None}})
    project.plans(a="ok", b="ok")
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3
    assert "not found" in looped.stderr
    assert set(project.statuses().values()) <= {"TODO", ""}


def test_a_person_may_end_a_pause(project: Project) -> None:
    project.plans(a="limit:in 3 hours,ok")
    project.dispatch()
    project.poll_until(lambda: project.state("pause"))
    assert "dispatch --force" in project.run("status", code=0).stdout
    project.dispatch()
    assert project.state("pause"), "only --force ends a pause"
    project.run("dispatch", "--force", code=0)
    assert set(project.settle().values()) == {"DONE"}, project.story()
