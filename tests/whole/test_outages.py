"""The account has a problem, not the tasks: few starts, no attempts spent, a person is needed, and all continues.

Agents are the real presets with a script in place of the program. Time is moved on in the pauses' file, as if it had
passed.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentjobs.core.pauses import SEVERAL, Unanswered, _suspected, pause_after
from agentjobs.model.outcomes import Outcome
from agentjobs.policy.limits import Limits
from tests.kit.harness import LONG_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentjobs.core.pauses import Pause
    from tests.kit.harness import Completed, Project

AGENT = """\
cat >/dev/null
: > "$STARTS/$AGENTJOBS_TASK.$AGENTJOBS_ATTEMPT"
if [ -e "$DOWN" ] || [ "$(ls "$STARTS" | wc -l)" -gt "$SERVED" ]; then cat "$SAYS"; exit 1; fi
echo ok >"$AGENTJOBS_TASK.txt"
cat "$GOOD"
"""
"""Works while it is served: up to ``SERVED`` starts, and unless ``DOWN`` is there."""

GOOD = {
    "claude": '{"type":"result","subtype":"success","is_error":false,"usage":{"input_tokens":5,"output_tokens":7}}\n',
    "codex": '{"type":"thread.started","thread_id":"t"}\n'
    '{"type":"turn.completed","usage":{"input_tokens":5,"output_tokens":7}}\n',
    "own": "done\n",
}
ROWS = 40
STRANGE = '{"type":"result","subtype":"success","is_error":true,"result":"Wires crossed, kindly come back"}\n'


class Outage:
    """Forty rows for one agent; its service breaks down."""

    def __init__(
        self, project: Project, agent: str = "claude", says: str = STRANGE, served: int = 8, **more: Any
    ) -> None:
        self.project = project
        self.starts_dir = project.directory / "starts"
        self.starts_dir.mkdir()
        self.down = project.directory / "down"
        self.says = project.directory / "says"
        self.says.write_text(says)
        self.clock = project.directory / "clock"
        self.clock.write_text("0")
        (project.directory / "good").write_text(GOOD[agent])
        script = project.directory / "agent.sh"
        script.write_text(AGENT)
        command = ["sh", str(script)]
        own = {} if agent == "own" else {"resume": [*command, "{session}"]}
        self.env = {
            "STARTS": str(self.starts_dir), "DOWN": str(self.down), "SAYS": str(self.says),
            "GOOD": str(project.directory / "good"), "SERVED": str(served), "CLOCK": str(self.clock),
        }  # fmt: skip
        project.configure(
            agents={agent: {"command": command, "env": self.env, **own}},
            profiles={"default": {"agent": agent}},
            slots=more.pop("slots", 1),
            workspace={"kind": "none"},
            limits={"breaker": 5, **more},
        )
        self.agent = agent
        project.rows(*({"id": f"t{number:02}"} for number in range(ROWS)))
        self.passed_s = 0.0

    def starts(self) -> int:
        return len(list(self.starts_dir.iterdir()))

    def serve(self, number: int) -> None:
        """Serve this many starts in all."""
        self.env["SERVED"] = str(number)
        self.project.configure({"agents": {self.agent: {"env": self.env}}})

    def loop(self, until: Callable[[], object] = lambda: False) -> Completed:
        """Poll until it says something else than "again", with no waiting in pauses."""
        give_up_at = time.monotonic() + LONG_S
        polled = self.project.poll("--wait", "0.5")
        while polled.code == 0 and not until():
            assert time.monotonic() < give_up_at, self.project.story()
            self.passed_s += self.project.skip_pause()
            self.clock.write_text(f"{self.passed_s:.0f}")
            polled = self.project.poll("--wait", "0.5")
        return polled


CLAUDE_WORDS = [
    "Failed to authenticate: OAuth session expired and could not be refreshed",
    "Credit balance is too low",
    "API Error: Connection refused (ECONNREFUSED)",
    "Wires crossed, kindly come back",
]


def said(words: str) -> str:
    return json.dumps({"type": "result", "subtype": "success", "is_error": True, "result": words}) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize(("slots", "words"), [(1, CLAUDE_WORDS[-1]), *((4, words) for words in CLAUDE_WORDS)])
def test_forty_rows_whose_account_breaks_down_at_the_ninth(project: Project, slots: int, words: str) -> None:
    outage = Outage(project, says=said(words), slots=slots)
    project.dispatch()
    polled = outage.loop()
    assert polled.code == 3, project.story()
    assert outage.starts() <= 8 + 5 + (slots > 1) * 2, project.story()
    assert words in polled.stderr
    assert sorted({*project.statuses().values()} - {""}) == ["DONE", "TODO"], project.story()
    assert project.state("halt") is None
    if slots == 1:
        return
    # Put right: nothing was lost, and nobody was charged.
    outage.serve(1000)
    started = outage.starts()
    project.dispatch()
    assert outage.loop().code == 2, project.story()
    assert set(project.statuses().values()) == {"DONE"}
    assert outage.starts() == started + ROWS - 8


def test_attempts_that_failed_before_it_was_clear_do_not_count(project: Project) -> None:
    outage = Outage(project, served=0, run_attempts=3)
    project.configure(retry={"resumes": 0, "repairs": 2, "restarts": 0})
    project.dispatch()
    outage.loop(lambda: (project.state("pauses") or {}).get("claude", {}).get("outcome") == "unreachable")
    first = project.run("show", "t00", code=0).stdout
    assert "unreachable" in first
    assert "crashed" not in first
    outage.serve(1000)
    polled = outage.loop()
    assert (polled.code, list(project.statuses().values()).count("DONE")) == (3, 3), "three attempts count, these"


def test_one_broken_task_fails_and_the_others_do_not_wait_for_it(project: Project) -> None:
    outage = Outage(project, served=1000)
    rows = [{"id": f"t{number}", "do": "x" * (number in {2, 5})} for number in range(8)]
    project.rows(*rows, columns=["do"])
    (project.directory / "agent.sh").write_text(f'[ -z "$AGENTJOBS_ROW_DO" ] || {{ cat "$SAYS"; exit 1; }}\n{AGENT}')
    project.configure(retry={"resumes": 1, "repairs": 1, "restarts": 0})
    project.dispatch()
    assert outage.loop().code == 2, project.story()
    failed = {task for task, status in project.statuses().items() if status == "FAILED"}
    assert failed == {"t2", "t5"}
    assert outage.passed_s < 30, "nobody waited in a pause"


def test_no_row_fails_before_it_is_clear_whose_trouble_it_is(project: Project) -> None:
    """Without any retry the first crash would settle a row."""
    outage = Outage(project, slots=2)
    project.configure(retry={"resumes": 0, "repairs": 0, "restarts": 0})
    project.dispatch()
    assert outage.loop().code == 3, project.story()
    assert "FAILED" not in project.statuses().values(), project.story()
    outage.serve(1000)
    project.dispatch()
    assert outage.loop().code == 2, project.story()
    assert set(project.statuses().values()) == {"DONE"}


@pytest.mark.slow
def test_rows_that_are_broken_themselves_fail_in_the_end(project: Project) -> None:
    outage = Outage(project, served=0)
    (project.directory / "agent.sh").write_text('cat >/dev/null; cat "$SAYS"; exit 1\n')
    project.rows(*({"id": f"t{number}"} for number in range(3)))
    project.configure(retry={"resumes": 1, "repairs": 0, "restarts": 0})
    project.dispatch()
    polled = outage.loop()
    assert polled.code == 3, "three alike, and nobody else to ask"
    assert "3 tasks in a row failed without an answer of the model" in polled.stderr
    project.dispatch()
    assert outage.loop().code == 2, project.story()
    assert set(project.statuses().values()) == {"FAILED"}


def test_rows_that_failed_while_others_were_served_are_to_blame_themselves(project: Project) -> None:
    outage = Outage(project, served=1000)
    (project.directory / "agent.sh").write_text(f'[ -z "$AGENTJOBS_ROW_DO" ] || {{ cat "$SAYS"; exit 1; }}\n{AGENT}')
    rows = [{"id": f"t{number}", "do": "x" * (number in {1, 3, 5})} for number in range(8)]
    project.rows(*rows, columns=["do"])
    project.configure(retry={"resumes": 2, "repairs": 1, "restarts": 0})
    project.dispatch()
    assert outage.loop().code == 2, project.story()
    assert {task for task, status in project.statuses().items() if status == "FAILED"} == {"t1", "t3", "t5"}
    assert outage.passed_s < 30


def test_two_broken_rows_fail_by_themselves(project: Project) -> None:
    outage = Outage(project, served=0)
    project.rows({"id": "a"}, {"id": "b"})
    project.configure(retry={"resumes": 1, "repairs": 0, "restarts": 0})
    project.dispatch()
    assert outage.loop().code == 2, project.story()
    assert set(project.statuses().values()) == {"FAILED"}
    assert outage.starts() == 4


def test_an_agent_that_tells_no_tokens_stops_after_as_many_as_the_breaker_says(project: Project) -> None:
    outage = Outage(project, "own", says="Wires crossed\n")
    project.dispatch()
    polled = outage.loop()
    assert polled.code == 3, project.story()
    assert outage.starts() == 8 + 5
    assert "Wires crossed" in polled.stderr
    assert "FAILED" not in project.statuses().values()


def test_a_script_that_fails_in_its_own_way_each_time_is_no_outage(project: Project) -> None:
    outage = Outage(project, "own", says="", served=0)
    words = ["apple", "pear", "plum", "fig", "date", "lime", "nut"]
    (project.directory / "agent.sh").write_text('cat >/dev/null; echo "no $AGENTJOBS_ROW_WORD here"; exit 1\n')
    project.rows(*({"id": f"t{number}", "word": word} for number, word in enumerate(words)), columns=["word"])
    project.configure(retry={"resumes": 0, "repairs": 0, "restarts": 0})
    project.dispatch()
    assert outage.loop().code == 2
    assert set(project.statuses().values()) == {"FAILED"}


FLAPS = """\
cat >/dev/null
: > "$STARTS/$AGENTJOBS_TASK.$AGENTJOBS_ATTEMPT"
at=$(( $(cat "$CLOCK") + 8 * $(ls "$STARTS" | wc -l) ))
if [ $(( at % 240 )) -ge 120 ]; then cat "$SAYS"; exit 1; fi
echo ok >"$AGENTJOBS_TASK.txt"
cat "$GOOD"
"""
"""Takes eight seconds by its clock, and is served in two minutes of every four."""


@pytest.mark.slow
@pytest.mark.parametrize("words", ["API Error: Connection refused (ECONNREFUSED)", "Wires crossed, kindly come back"])
def test_a_run_beside_a_network_that_flaps_every_two_minutes_finishes(project: Project, words: str) -> None:
    outage = Outage(project, says=said(words), slots=2)
    (project.directory / "agent.sh").write_text(FLAPS)
    outage.serve(1000)
    project.dispatch()
    assert outage.loop().code == 2, project.story()
    assert set(project.statuses().values()) == {"DONE"}, project.story()
    assert outage.passed_s > 60, "there were outages"
    assert outage.starts() <= ROWS + 25


# --- the schedule alone


def steps(up: Callable[[float], bool], in_flight: int, outcome: Outcome, takes_s: float, limits: Limits) -> list[Pause]:
    """Return the pauses of one account from the first attempt that was refused until one is served, or it is stuck."""
    found: list[Pause] = []

    def refuse(started_at: float, now: float) -> None:
        pause = pause_after(
            found[-1] if found else None, outcome, started_at=started_at, reset_at=0.0, detail="",
            key=f"t{len(found)}/1", limits=limits, now=now,
        )  # fmt: skip
        assert pause is not None
        found.append(pause)

    for _ in range(in_flight):
        refuse(-1.0, 0.0)
    while not found[-1].stuck and not up(found[-1].until):
        refuse(found[-1].until, found[-1].until + takes_s)
    return found


@given(st.floats(0, 119), st.integers(1, 8), st.floats(0.01, 5))
def test_a_network_that_flaps_every_two_minutes_needs_no_person(begin: float, in_flight: int, takes: float) -> None:
    found = steps(lambda at: (at + begin) % 240 >= 120, in_flight, Outcome.UNREACHABLE, takes, Limits())
    assert not found[-1].stuck


@given(st.floats(0, 119), st.lists(st.floats(0, 5), min_size=SEVERAL, max_size=SEVERAL), st.floats(0.01, 5))
def test_nor_does_one_whose_words_nobody_knows(begin: float, between: list[float], takes: float) -> None:
    def up(at: float) -> bool:
        return (at + begin) % 240 >= 120

    at, pause = 0.0, None
    for number, apart in enumerate(between):
        at += apart
        pause = _suspected(pause, Unanswered(SEVERAL, ""), f"t{number}/1", "", at)
    while pause is not None and not up(pause.until):
        pause = pause_after(
            pause, Outcome.UNREACHABLE, started_at=pause.until, reset_at=0.0, detail="", key=f"t{pause.count}/2",
            limits=Limits(), now=pause.until + takes,
        )  # fmt: skip
        assert pause is not None
        assert not pause.stuck


@given(st.integers(1, 8), st.sampled_from([Outcome.UNREACHABLE, Outcome.AUTH]), st.floats(0.01, 200))
def test_an_account_that_stays_down_is_tried_few_times_at_growing_distance(
    in_flight: int, outcome: Outcome, takes: float
) -> None:
    found = steps(lambda _: False, in_flight, outcome, takes, Limits())
    assert found[-1].stuck
    assert len(found) <= in_flight + 3
    waits = [pause.until - pause.at for pause in found[in_flight - 1 : -1]]
    assert waits == sorted(waits)


def test_who_runs_at_night_may_have_it_tried_for_longer() -> None:
    found = steps(lambda _: False, 1, Outcome.UNREACHABLE, 1.0, Limits(unreachable_minutes=480))
    assert found[-1].at > 7 * 3600
    assert 20 < len(found) < 30
