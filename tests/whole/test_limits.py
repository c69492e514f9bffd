"""Limits, overload, logins: what one agent meets holds for its account; nothing is spent and nobody is lost."""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.kit.harness import CHECK, FAKE_AGENT, RULES

if TYPE_CHECKING:
    from tests.kit.harness import Project


pytestmark = pytest.mark.sample(1)

SOON = "ebdac"
"""Names of tasks: the account of the first three is tried again after two or three seconds, not ten (``hold_s``)."""


def second_agent(project: Project, **more: object) -> None:
    """Give the project a second agent with a separate account, and the profile ``second`` for it."""
    command = [sys.executable, "-IS", FAKE_AGENT]
    agent = {"command": command, "env": {"FAKE_LEDGER": str(project.ledger_path)}, "rules": RULES, **more}
    project.configure(
        agents={"second": agent}, profiles={"second": {"agent": "second", "verify": [CHECK]}}
    )


def rows(project: Project, ours: dict[str, str], theirs: dict[str, str]) -> None:
    """Write rows for the first agent and for the second: what it does, by id."""
    project.rows(
        *({"id": name, "profile": "", "plan": plan} for name, plan in ours.items()),
        *({"id": name, "profile": "second", "plan": plan} for name, plan in theirs.items()),
    )


def test_after_a_limit_nothing_starts_until_the_reset(project: Project) -> None:
    """Six tasks; the third meets a limit that ends in some seconds; those at work finish; then one by one."""
    project.configure(slots=3, retry={"resumes": 0, "repairs": 0, "restarts": 0})
    plans = {"a": "@end ok", "b": "@end ok", "c": "@go limit:in 3 seconds,sleep:3"} | dict.fromkeys("defg", "ok")
    project.plans(**plans)
    project.dispatch()
    project.wait_for(lambda: len(project.ledger()) == 3)
    project.open("go")
    said = ""
    while not project.state("pauses"):
        said += project.poll("--wait", "0.2", code=0).stderr
    pause = project.state("pauses")["fake"]
    assert pause["outcome"] == "limit"
    assert "paused until" in said
    project.open("end")
    looped = project.loop()
    assert looped.last == 2
    assert set(project.statuses().values()) == {"DONE"}, project.story()
    starts = project.ledger()
    late = [start for start in starts if start.at > pause["at"]]
    assert len(starts) - len(late) == 3, "not one further start before the reset"
    assert min(start.at for start in late) >= pause["until"]
    assert late[0].task == "c", "the task that hit the limit is the probe"
    gaps = [b.at - a.at for a, b in pairwise(late)]
    assert gaps[0] > 2.9, f"the others wait until the probe has come back well: {gaps}"
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
    project.poll_until(lambda: project.state("pauses"))
    pause = project.state("pauses")["fake"]
    assert pause["until"] - pause["at"] > 200
    began = time.monotonic()
    assert project.poll("--wait", "1").code == 0
    assert time.monotonic() - began > 0.9
    assert project.starts() == {"a": 1}
    assert project.statuses()["a"] == "TODO"


def test_a_person_may_want_to_be_asked_at_a_limit(project: Project) -> None:
    project.configure(slots=1, limits={"limit_hours": 0})
    project.plans(a="limit:in 3 hours,ok", b="ok")
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3
    at = time.strftime("%Y-%m-%d", time.localtime(time.time() + 3 * 3600))
    assert f"limit: fake: a: Error: usage limit reached, resets in 3 hours (ends {at} " in looped.stderr
    assert project.starts() == {"a": 1}
    project.run("dispatch", "--force", code=0)
    assert set(project.settle().values()) == {"DONE"}, project.story()


def test_a_busy_server_is_left_alone_for_a_while(project: Project) -> None:
    project.plans(a="overloaded", b="ok")
    project.configure(slots=1)
    project.dispatch()
    project.poll_until(lambda: project.state("pauses"))
    pause = project.state("pauses")["fake"]
    assert pause["outcome"] == "overloaded"
    assert 10 < pause["until"] - pause["at"] < 30
    assert project.starts() == {"a": 1}


def test_logged_out_is_tried_twice_more_and_then_a_person_is_needed(project: Project) -> None:
    project.configure(slots=3)
    project.plans(**dict.fromkeys(SOON, "@go auth,auth,ok"))
    project.dispatch()
    project.wait_for(lambda: len(project.ledger()) == 3)
    project.open()
    project.poll_until(lambda: (project.state("pauses") or {}).get("fake", {}).get("count") == 2)
    starts = project.ledger()
    assert len(starts) == 4, "three at once, and one retry for all"
    first = max(start.at for start in starts[:3])
    assert 1.5 < starts[3].at - first < 60
    assert 60 < project.skip_pause() < 80
    looped = project.loop()
    assert (looped.code, looped.last) == (1, 3)
    assert len(project.ledger()) == 5, "and one more"
    assert set(project.statuses().values()) <= {"TODO", ""}
    assert "401" in looped.stderr
    assert "dispatch" in looped.stderr, "it says how to go on"
    assert project.poll().code == 3
    assert len(project.ledger()) == 5
    # Logged in again: dispatch continues, and no attempt was spent.
    project.configure(agents={"fake": {"env": {"FAKE_WORD": "ok"}}})
    assert set(project.settle().values()) == {"DONE"}, project.story()


def test_a_wrong_model_name_halts_too(project: Project) -> None:
    project.plans(**dict.fromkeys(SOON, "infra"))
    project.configure(slots=1)
    project.dispatch()
    looped = project.loop()
    assert looped.last == 3
    assert project.starts().total() == 2
    assert set(project.statuses().values()) <= {"TODO", ""}


def test_a_program_that_is_not_there_halts(project: Project) -> None:
    project.configure(agents={"fake": {"command": ["no-such-agent"], "resume": None}})
    project.plans(**dict.fromkeys(SOON, "ok"))
    project.dispatch("--force")
    looped = project.loop()
    assert looped.last == 3
    assert "not found" in looped.stderr
    assert set(project.statuses().values()) <= {"TODO", ""}


def test_a_person_may_end_a_pause(project: Project) -> None:
    project.plans(a="limit:in 3 hours,ok")
    project.dispatch()
    project.poll_until(lambda: project.state("pauses"))
    assert "dispatch --force" in project.run("status", code=0).stdout
    project.dispatch()
    assert project.state("pauses"), "only --force ends a pause"
    project.run("dispatch", "--force", code=0)
    assert set(project.settle().values()) == {"DONE"}, project.story()


def test_others_go_on_while_one_account_is_limited(project: Project) -> None:
    second_agent(project)
    rows(project, {"a": "limit:in 3 hours,ok", "b": "ok", "c": "ok"}, dict.fromkeys("vwxyz", "ok"))
    project.configure(slots=1)
    project.dispatch()
    project.poll_until(lambda: project.state("pauses"))
    pause = project.state("pauses")["fake"]
    project.configure(slots=3)
    said = project.poll().stderr
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(pause["until"]))
    assert f"paused until {at}: fake: limit: a: Error: usage limit reached" in said
    text = project.run("status", code=0).stdout
    assert f"{at}: fake: limit: a:" in text
    found = json.loads(project.run("status", "--json", code=0).stdout)["pauses"]
    assert (found["fake"]["outcome"], found["fake"]["until"]) == ("limit", pause["until"])
    project.poll_until(lambda: list(project.statuses().values()).count("DONE") == 5)
    assert project.poll().code == 0, "there is a known time to wait for"
    assert project.starts() == dict.fromkeys("avwxyz", 1)
    assert project.state("pauses")["fake"] == pause
    project.run("dispatch", "--force", code=0)
    assert set(project.settle().values()) == {"DONE"}, project.story()
    assert project.state("pauses") is None


def test_a_limit_that_goes_on_costs_one_probe(project: Project) -> None:
    """Forty tasks of one account: one per slot hits the limit, and one more after its reset."""
    limited = project.directory / "limited"
    limited.touch()
    project.configure(slots=4, workspace={"kind": "none"}, profiles={"default": {"require_change": False}})
    project.plans(**{f"t{n:02}": "limited:in 3 seconds" for n in range(40)})
    project.dispatch()
    project.poll_until(lambda: (project.state("pauses") or {}).get("fake", {}).get("count") == 2)
    starts = project.ledger()
    assert len(starts) == 5, "the slots, and one probe"
    pause = project.state("pauses")["fake"]
    assert pause["until"] - pause["at"] > 14, "it said three seconds, and was wrong"
    project.poll("--wait", "1.5", code=0)
    assert len(project.ledger()) == 5
    assert {name: project.outcomes(name) for name in project.starts()} == {
        "t00": ["limit", "limit"], "t01": ["limit"], "t02": ["limit"], "t03": ["limit"]
    }  # fmt: skip
    limited.unlink()
    project.run("dispatch", "--force", code=0)
    assert set(project.settle().values()) == {"DONE"}, project.story()
    assert set(project.starts().values()) == {1, 2, 3}
    assert project.starts().total() == 45, "nobody paid for it with more than that"


@pytest.mark.slow
def test_logged_out_of_one_account_the_others_finish_and_then_a_person_is_asked(project: Project) -> None:
    second_agent(project)
    project.configure(slots=4)
    rows(project, dict.fromkeys(SOON, "auth"), dict.fromkeys("vwxyz", "sleep:0.3"))
    project.dispatch()
    looped = project.loop()
    assert (looped.code, looped.last) == (1, 3)
    assert {i: s for i, s in project.statuses().items() if s == "DONE"} == dict.fromkeys("vwxyz", "DONE")
    auth = [start for start in project.ledger() if start.task in "abcde"]
    assert len(auth) == 5, "four at once, and one probe"
    assert "auth: fake: " in looped.stderr
    assert "401 Unauthorized" in looped.stderr
    assert "Fix what the agent reports (log in, pay, change the plan), then `agentjobs dispatch`" in looped.stderr
    assert "stopped: fake: auth: " in project.run("status", code=0).stdout
    assert project.state("halt") is None
    assert project.run("run", code=3).stderr.count("Fix what the agent reports") == 1
    assert project.poll("--json", code=3).stdout.count("auth: fake")
    assert len([start for start in project.ledger() if start.task in "abcde"]) == 5
    project.dispatch()  # still logged out: one more start finds that out
    assert project.loop().last == 3
    assert len([start for start in project.ledger() if start.task in "abcde"]) == 6
    project.configure(agents={"fake": {"env": {"FAKE_WORD": "ok"}}})
    assert project.run("retry", "a", code=0).lines
    assert project.loop().last == 2
    assert set(project.statuses().values()) == {"DONE"}, project.story()


def test_a_program_that_is_not_there_stops_its_own_queue_alone(project: Project) -> None:
    second_agent(project, command=["no-such-agent"])
    rows(project, dict.fromkeys("xyz", "ok"), dict.fromkeys("eb", "ok"))
    project.dispatch("--force")
    looped = project.loop()
    assert looped.last == 3
    assert "infra: second: " in looped.stderr
    assert "not found" in looped.stderr
    assert [project.statuses()[name] or "TODO" for name in "xyzeb"] == ["DONE"] * 3 + ["TODO"] * 2
    second_agent(project)
    assert set(project.settle().values()) == {"DONE"}, project.story()


def loop_past_pauses(project: Project) -> int:
    """Poll until the exit code is not 0, without waiting for pauses; return that code."""
    while (code := project.poll("--wait", "5").code) == 0:
        project.skip_pause()
    return code


def test_a_kill_between_the_pause_and_the_result_changes_nothing(project: Project) -> None:
    """The pause is written first; a poll that dies then is followed by one that concludes the attempt again."""

    def forget(number: int) -> None:
        (project.root / ".agentjobs" / "attempts" / "a" / f"{number:03d}" / "result.json").unlink()

    project.configure(slots=1, workspace={"kind": "none"})
    project.plans(a="limit:in 3 hours,auth", b="auth")
    project.dispatch()
    project.poll_until(lambda: project.outcomes("a") == ["limit"])
    before = project.state("pauses")["fake"]
    forget(1)
    assert project.poll().code == 0
    after = project.state("pauses")["fake"]
    assert project.outcomes("a") == ["limit"]
    assert (after["outcome"], after["until"], after.get("count", 1)) == ("limit", before["until"], 1)
    assert project.starts() == {"a": 1}
    project.run("dispatch", "--force", code=0)
    project.poll_until(lambda: project.outcomes("a") == ["limit", "auth"])
    forget(2)
    assert project.poll().code == 0
    assert "stuck" not in project.state("pauses")["fake"], "the same attempt does not count twice"
    assert loop_past_pauses(project) == 3
    stuck = project.state("pauses")
    assert stuck["fake"]["stuck"]
    starts = project.starts()
    forget(3)
    assert loop_past_pauses(project) == 3
    assert (project.state("pauses"), project.starts()) == (stuck, starts)


def test_agents_that_share_an_account_share_its_limit(project: Project) -> None:
    second_agent(project, account="fake")
    rows(project, {"a": "limit:in 3 seconds,ok"}, {"x": "ok"})
    project.configure(slots=1)
    assert ": fake: limit: a: " in project.run("run", code=2).stderr, "run reports it too"
    first, *later = project.ledger()
    assert min(start.at for start in later) - first.at > 3


def test_a_pause_that_an_older_version_wrote_is_kept(project: Project) -> None:
    project.plans(a="ok", b="ok")
    project.dispatch("a")
    assert project.loop().last == 2
    now = time.time()
    old = {"outcome": "limit", "until": now + 9000, "at": now, "detail": "a: usage limit", "count": 1}
    path = project.root / ".agentjobs" / "pause.json"
    path.write_text(json.dumps(old))
    assert "paused until" in project.dispatch().stderr
    assert "limit: a: usage limit" in project.run("status", code=0).stdout
    path.write_text(json.dumps(old | {"until": now}))
    assert "tried one at a time since" in project.run("status", code=0).stdout
    assert project.loop().last == 2
    assert project.starts() == {"a": 1, "b": 1}
    assert not list((project.root / ".agentjobs").glob("pause*")), "the first good end lifts it"
