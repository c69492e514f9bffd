"""The real CLIs through `dispatch` and `poll`, against a mock model on this machine; what is absent is skipped.

`make agents` installs Claude Code and Codex, `make test-agents` all of them and runs these tests.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from agentjobs.run.steps import sandbox
from tests.kit.harness import Project
from tests.kit.mockmodel import MockModel
from tests.realagents import NAMES, environment, program, real
from tests.realagents.cases import CASES, RESET, SCRIPTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.realagents import Script

pytestmark = [pytest.mark.sample(1), pytest.mark.timeout(240), pytest.mark.xdist_group("real agents")]

LONG_S = 120.0
TROUBLE = sandbox.trouble()
CHECK = 'test "$(cat out.txt)" = ok'
TIMES = {"overload": 90, "auth": 90}
"""Seconds that a CLI may try again by itself before it says what is wrong."""


def installed(name: str) -> bool:
    return program(name).exists()


@pytest.fixture(params=[pytest.param(name, id=name) for name in NAMES])
def agent(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if not installed(name):
        pytest.skip(f"{name} is not installed (make test-agents)")
    return name


def project_with(
    tmp_path: Path, name: str, model: MockModel, case: str = "ok", more: Mapping[str, Any] | None = None
) -> Project:
    """Return a project with only the preset, and where the CLI, its HOME and the model are."""
    env = environment(name, tmp_path / "home", model.address, case)
    env["PATH"] = f"{os.path.dirname(program(name))}:{env['PATH']}"
    profile = {"agent": name, "verify": [CHECK], "scope": "any"}
    if real(name).model:
        profile["model"] = real(name).model
    settings = {
        "agents": {"fake": None, name: {"env": env}},
        "profiles": {"default": profile},
        "limits": {"stop_grace_s": 2, "finish_grace_s": 5},
        "retry": {"resumes": 1, "repairs": 0, "restarts": 0},
    }
    project = Project(tmp_path / "p", settings=settings)
    project.configure(more or {})
    project.rows({"id": "a", "files": "out.txt"})
    (project.root / "prompt.md.j2").write_text("Write ok into out.txt.\n{{ errors }}\n")
    return project


def nothing_runs(project: Project) -> None:
    project.wait_for(lambda: not project.processes(), LONG_S, "the processes to be gone")


def agent_of(project: Project) -> int:
    """Return the pid of the CLI under the runner of the first attempt."""
    runner: int = project.attempts("a")[-1]["agent"]["pid"]
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(runner)], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0])


def end_of_log(project: Project, attempt: int) -> str:
    return project.log("a", attempt).decode("utf-8", "replace")[-3000:]


def script(name: str, case: str) -> Script:
    return real(name).scripts.get(case, SCRIPTS[case])


def test_an_edit_lands(agent: str, tmp_path: Path) -> None:
    with MockModel(script(agent, "ok")) as model:
        project = project_with(tmp_path, agent, model)
        statuses = project.settle(LONG_S)
        assert statuses == {"a": "DONE"}, f"{project.story()}\n{end_of_log(project, 1)}"
        assert project.landed("out.txt") == "ok"
        assert project.table()["a"]["attempt"] == "1"
        if "ok" not in real(agent).usage_unknown:
            assert int(project.table()["a"]["tokens"]) == sum(model.served())
        nothing_runs(project)


@pytest.mark.sample(1)
@pytest.mark.skipif(bool(TROUBLE), reason=TROUBLE)
def test_an_edit_lands_from_a_sandbox(agent: str, tmp_path: Path) -> None:
    """What the preset calls `writable` is all that the CLI needs, also the first time, and to go on after a kill."""
    steps = script(agent, "ok")
    script_ = [steps[0], {"fault": "hang"}, *steps[1:]] if real(agent).resume else steps
    with MockModel(script_) as model:
        project = project_with(tmp_path, agent, model, more={"workspace": {"sandbox": "bwrap"}})
        project.dispatch()
        if real(agent).resume:
            project.poll_until(lambda: any(r["hung"] for r in model.requests), LONG_S, "the model to hang")
            project.power_cut()
        assert project.loop(LONG_S).last == 2
        assert project.statuses() == {"a": "DONE"}, f"{project.story()}\n{end_of_log(project, 1)}"
        assert project.landed("out.txt") == "ok"
        if real(agent).resume:
            assert [r for r in model.requests if not r["side"]][-1]["earlier_turns"], "the model saw the earlier turns"
        nothing_runs(project)


@pytest.mark.sample(1)
def test_killed_twice_in_the_middle_the_conversation_goes_on(agent: str, tmp_path: Path) -> None:
    one = real(agent)
    if one.resume is None:
        pytest.skip(f"{agent} cannot go on with a conversation")
    steps = script(agent, "ok")
    if len(steps) == 1:
        pytest.skip(f"{agent} asks its model once a run: there is no middle")
    hang = {"fault": "hang"}
    with MockModel([steps[0], hang, steps[0] | {"usage": [307, 31]}, hang, *steps[1:]]) as model:
        project = project_with(tmp_path, agent, model, more={"retry": {"resumes": 2}})
        project.dispatch()
        for kills in (1, 2):
            project.poll_until(lambda: sum(r["hung"] for r in model.requests) >= kills, LONG_S, "the model to hang")  # noqa: B023
            os.kill(agent_of(project), signal.SIGKILL)
        assert project.loop(LONG_S).last == 2
        assert project.statuses() == {"a": "DONE"}, f"{project.story()}\n{end_of_log(project, 3)}"
        assert project.modes("a") == ["first", "resume", "resume"]
        assert project.outcomes("a") == ["crashed", "crashed", "ok"]
        sessions = {facts["result"].get("session") for facts in project.attempts("a")}
        assert len(sessions) == 1, "one conversation"
        assert [r for r in model.requests if not r["side"]][-1]["earlier_turns"], "the model saw the earlier turns"
        if "sigkill" not in one.usage_unknown:
            assert int(project.table()["a"]["tokens"]) == sum(model.served()), project.attempts("a")
        nothing_runs(project)


@pytest.mark.sample(2)
@pytest.mark.parametrize("case", ["limit", "overload", "auth", "context", "cut"])
def test_trouble_has_its_class_and_its_next_step(agent: str, case: str, tmp_path: Path) -> None:
    one = real(agent)
    if case in one.ends:
        pytest.skip(f"{agent} goes on without end: {one.notes.get(case, '')}")
    wanted = (CASES | one.classes)[case]
    with MockModel(script(agent, case)) as model:
        project = project_with(tmp_path, agent, model, case)
        project.dispatch()
        project.poll_until(lambda: "result" in project.attempts("a")[0], LONG_S, "the first result")
        result = project.attempts("a")[0]["result"]
        if wanted == "ok":  # it takes the half answer for the whole: our own check says no
            assert result["outcome"] in {"no_change", "verify_failed"}
            return
        assert result["outcome"] == wanted, f"{result}\n{end_of_log(project, 1)}"
        if wanted == "limit" and "limit" not in one.reset_unknown:
            assert abs(result["reset_at"] - RESET) <= 60
        started = len(project.attempts("a"))
        if wanted in {"limit", "overloaded", "auth"}:
            project.poll()
            assert len(project.attempts("a")) == started, "nothing starts against it"
            assert project.statuses() == {"a": "TODO"}
        elif wanted == "context_full":
            assert project.loop(LONG_S).last == 2
            assert project.statuses()["a"] == "FAILED"
            assert set(project.outcomes("a")) == {"context_full"}
        project.run("stop", code=0)
        nothing_runs(project)


@pytest.mark.sample(1)
def test_one_that_hangs_is_ended_with_all_it_started(agent: str, tmp_path: Path) -> None:
    steps = script(agent, "hang")
    with MockModel(steps) as model:
        more = {"limits": {"idle_minutes": 0.1}, "retry": {"resumes": 0}}
        project = project_with(tmp_path, agent, model, "hang", more)
        project.dispatch()
        project.poll_until(lambda: "result" in project.attempts("a")[0], LONG_S, "the first result")
        assert project.outcomes("a")[0] in {"stalled", "timeout"}
        nothing_runs(project)


@pytest.mark.sample(1)
def test_a_conversation_that_is_not_there_is_begun_anew(agent: str, tmp_path: Path) -> None:
    one = real(agent)
    if one.resume is None or one.classes.get("no_session", "no_session") != "no_session":
        pytest.skip(f"{agent} begins a conversation where there is none, or cannot go on with one")
    steps = script(agent, "ok")
    with MockModel([steps[0], {"fault": "hang"}, *steps]) as model:
        project = project_with(tmp_path, agent, model, more={"retry": {"resumes": 2}})
        project.dispatch()
        project.wait_for(lambda: any(r["hung"] for r in model.requests), LONG_S, "the model to hang")
        os.kill(agent_of(project), signal.SIGKILL)
        project.wait_for(lambda: "agent.exit" in project.attempts("a")[0], LONG_S, "the end of the agent")
        for pattern in one.transcripts:
            for path in (tmp_path / "home").glob(pattern):
                path.unlink()
        assert project.loop(LONG_S).last == 2
        assert project.statuses() == {"a": "DONE"}, project.story()
        # An id that only the disk had is gone with it: then no conversation can continue.
        known = project.attempts("a")[0]["result"].get("session")
        wanted = ["crashed", "no_session", "ok"] if known else ["crashed", "ok"]
        assert project.outcomes("a") == wanted, project.log("a", 2)[-3000:]
        first, *_, last = (facts["result"].get("session") for facts in project.attempts("a"))
        assert last != first
        if not {"ok", "sigkill"} & one.usage_unknown:
            assert int(project.table()["a"]["tokens"]) <= sum(model.served()), "what was deleted is unknown"
        nothing_runs(project)


class Obedient(MockModel):
    """Does what ``agents try`` asks for: the line first, and, resumed, the word if it can see it."""

    def take(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        told = json.dumps(asked)
        line = re.search(r"agentjobs was here: \w+", told)
        word = re.search(r"in mind the word `(\w+)`", told)
        texts = {"hello.txt": line[0] if line else "?", "resumed.txt": word[1] if word else "?"}
        last = next(step for step in self.script if "write" not in step)
        writes = [{"write": {"path": name, "text": f"{text}\n"}, "usage": [101, 11]} for name, text in texts.items()]
        self.script = [writes[0], last, writes[1], last]
        return super().take(path, asked)


@pytest.mark.sample(1)
@pytest.mark.timeout(400)
def test_a_trial_of_it(agent: str, tmp_path: Path) -> None:
    if "write" not in script(agent, "ok")[0]:
        pytest.skip(f"the model of {agent} must write edits in a special format")
    if real(agent).argument:
        pytest.skip(f"{agent} is sent to a file for its prompt, and the mock reads none")
    with Obedient(script(agent, "ok")[:2]) as model:
        project = project_with(tmp_path, agent, model)
        listed = project.run("agents", "--json", code=0, timeout_s=LONG_S)
        found = next(one for one in json.loads(listed.stdout) if one["name"] == agent)
        assert found["version"] == real(agent).version, found
        assert found["standing"] == "tested"
        (tmp_path / "tmp").mkdir()
        said = project.run("agents", "try", agent, timeout_s=2 * LONG_S, env={"TMPDIR": str(tmp_path / "tmp")})
        assert said.code == 0, said
        spent = [int(count.replace(",", "")) for count in re.findall(r"spent +([\d,]+) tokens", said.stdout)]
        if real(agent).resume is not None:
            assert "resumed.txt has the right content" in said.stdout
            assert "ok" in real(agent).usage_unknown or sum(spent) == sum(model.served()), said
        nothing_runs(project)


def test_what_is_in_ci_is_installed_there() -> None:
    if "CI" not in os.environ:
        pytest.skip("only where everything must run")
    assert installed("claude")
    assert installed("codex")
