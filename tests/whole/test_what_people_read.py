"""What a person reads of an agent: its message, what it does now, its conversation, when a pause ends, how to go on."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

import pytest

from agentjobs.core.board import UNSERVED
from agentjobs.text.for_people import until_text
from agentjobs.views.advice import advice

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.harness import Project

STREAM = r"""
import os, sys, time
print('{"type":"thread.started","thread_id":"0199-abc"}', flush=True)
print("WARNING: proceeding, even though we could not create PATH aliases", file=sys.stderr, flush=True)
print('{"type":"item.started","item":{"type":"command_execution","command":"make test"}}', flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
print('{"type":"item.completed","item":{"type":"agent_message","text":"It is red."}}', flush=True)
print('{"type":"error","message":"Reconnecting... 1/5"}', flush=True)
inner = '{\\"error\\":{\\"message\\":\\"the words that count\\"}}'
print('{"type":"turn.failed","error":{"message":"API Error: 400 ' + inner + '"}}', flush=True)
sys.exit(1)
"""


@pytest.fixture
def streaming(project: Project, tmp_path: Path) -> Path:
    """The agent of this project prints what Codex prints, and continues when a file exists."""
    script, go = tmp_path / "stream.py", tmp_path / "go"
    script.write_text(STREAM)
    project.configure(
        agents={"codex": {"command": [sys.executable, "-IS", str(script), str(go)], "resume": []}},
        profiles={"default": {"agent": "codex"}},
        retry={"resumes": 0, "repairs": 0, "restarts": 0},
    )
    project.plans(a="ok")
    return go


def test_what_is_told_of_an_agent_while_it_runs_and_when_it_failed(project: Project, streaming: Path) -> None:
    project.dispatch()
    log = project.root / ".agentjobs/attempts/a/001/output.log"
    project.wait_for(lambda: log.exists() and b"make test" in log.read_bytes())
    project.poll()
    shown = project.run("show", "a", code=0).stdout
    assert "session 0199-abc" in shown
    assert "session not known yet" not in shown
    assert "; now: runs: make test" in shown
    assert "runs: make test" in project.run("status", code=0).stdout
    streaming.touch()
    project.settle()
    note = project.table()["a"]["note"]
    assert "API Error: 400 the words that count" in note
    told = project.run("show", "a", code=0).stdout
    excerpt = [line for line in told.splitlines() if line.startswith("  | ")]
    assert "  | runs: make test" in excerpt
    assert "  | says: It is red." in excerpt
    for text in (note, told, project.run("status", "--failures", code=0).stdout):
        assert '{"' not in text
        assert "PATH aliases" not in text


def test_the_end_of_a_pause_always_has_its_date(project: Project) -> None:
    now = time.time()
    for later in (60, 86400 * 5):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", until_text(now + later))
    project.plans(a="limit:in 3 hours")
    project.dispatch()
    project.poll_until(lambda: project.state("pauses"))
    at = until_text(project.state("pauses")["fake"]["until"])
    assert f"paused until {at}: fake: limit: " in project.poll().stderr
    assert f"paused until {at}: fake: limit: " in project.run("status", code=0).stdout


def test_the_advice_fits_what_went_wrong() -> None:
    for why in ("auth: codex: a: Quota exceeded. Check your plan and billing details.", "auth"):
        assert advice(why) == "Fix what the agent reports (log in, pay, change the plan), then `agentjobs dispatch`."
    assert "improve the prompt first" in advice("diagnose: 9 of 20 tasks failed")
    for why in (f"diagnose: 9 of 20 tasks failed {UNSERVED}", "breaker: the first 5 tasks all ended alike (crashed)"):
        assert "prompt" not in advice(why)
        assert "`agentjobs agents try NAME`" in advice(why)
    assert "fix the prompt" in advice("breaker: the first 5 tasks all ended alike (verify_failed)")


def test_status_gives_the_advice_for_the_halt(project: Project) -> None:
    project.configure(limits={"breaker": 2}, retry={"resumes": 0, "repairs": 0, "restarts": 0})
    project.plans(a="crash", b="crash", c="crash")
    project.dispatch()
    halted = project.loop()
    assert halted.last == 3
    assert "The agent fails before it does any work" in halted.stderr
    assert "The agent fails before it does any work" in project.run("status", code=0).stdout


def test_a_program_that_prints_only_json_and_dies_is_not_quoted_raw(project: Project, tmp_path: Path) -> None:
    script = tmp_path / "agent.sh"
    script.write_text('printf \'{"type":"start","n":1}\\n{"type":"step","value":{"a":[1,2]}}\\n\'; exit 7\n')
    project.configure(
        agents={"fake": {"command": ["sh", str(script)], "resume": []}},
        retry={"resumes": 0, "repairs": 0, "restarts": 0},
    )
    project.plans(a="ok")
    project.dispatch()
    project.settle()
    assert "{" not in project.table()["a"]["note"]
