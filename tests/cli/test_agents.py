"""``agentjobs agents``: what is installed, in which version, as which settings; and a trial of one."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agentjobs.agents.installed import Place, ask, choices
from agentjobs.commands.tryout import CHECK, policy_text
from agentjobs.policy import presets
from agentjobs.policy.agents import Agent
from agentjobs.text.versions import range_of
from tests.kit.harness import LONG_S, REPOSITORY, Completed, Project

FAKE_CLAUDE = REPOSITORY / "tests" / "kit" / "agents" / "fake_claude.py"
TESTED = presets.preset("claude")["tested"][0]  # type: ignore[index]
RANGE = range_of(presets.preset("claude")["tested"])  # type: ignore[index]


class Bench:
    """A PATH with programs that a test writes, a place outside of any project, and a project."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bin = directory / "bin"
        self.tmp = directory / "tmp"
        self.outside = directory / "outside"
        self.config = directory / "claude"
        for path in (self.bin, self.tmp, self.outside):
            path.mkdir()
        self.project = Project(directory / "p")

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def claude(self) -> None:
        self.program("claude", f'exec {shlex.quote(sys.executable)} -IS {FAKE_CLAUDE} "$@"')

    @property
    def env(self) -> dict[str, str]:
        path = [str(self.bin), *(place for place in os.environ["PATH"].split(os.pathsep) if not has_agents(place))]
        return {"PATH": os.pathsep.join(path), "TMPDIR": str(self.tmp), "CLAUDE_CONFIG_DIR": str(self.config)}

    def run(self, *args: str, code: int | None = 0, inside: bool = False, **env: str) -> Completed:
        cwd = self.project.root if inside else self.outside
        return self.project.run("agents", *args, code=code, env={**self.env, **env}, cwd=cwd)

    def listed(self, *, inside: bool = False) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in json.loads(self.run("--json", inside=inside).stdout)}

    def left(self) -> list[str]:
        """What trials have left behind."""
        return os.listdir(self.tmp)


def has_agents(place: str) -> bool:
    return any(os.path.exists(os.path.join(place, name)) for name in presets.names())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def row(lines: list[str], name: str) -> str:
    return next(" ".join(line.split()) for line in lines if line.split()[0] == name)


# --- the list ---------------------------------------------------------------------------------------------


def test_the_list_outside_of_a_project(bench: Bench) -> None:
    bench.claude()
    said = bench.run()
    assert said.stderr == ""
    assert said.lines[0].split() == ["NAME", "AGENT", "VERSION", "TESTED", "HERE"]
    assert row(said.lines, "claude") == f"claude Claude Code {TESTED} {RANGE} tested"
    assert row(said.lines, "codex").startswith("codex Codex CLI not installed ")
    assert {line.split()[0] for line in said.lines[1:]} == set(presets.names())


@pytest.mark.parametrize(
    ("printed", "version", "standing"),
    [
        ("99.0.1 (Claude Code)", "99.0.1", "newer than tested"),
        ("v1.0.0-beta.2", "1.0.0-beta.2", "older than tested"),
        (f"{TESTED} (Claude Code)", TESTED, "tested"),
    ],
)
def test_how_a_version_stands(bench: Bench, printed: str, version: str, standing: str) -> None:
    bench.program("claude", f"echo '{printed}'")
    found = bench.listed()["claude"]
    assert (found["version"], found["standing"], found["problem"]) == (version, standing, "")
    assert found["program"] == str(bench.bin / "claude")
    assert row(bench.run().lines, "claude").endswith(standing)


def test_a_version_on_stderr_counts_if_stdout_has_none(bench: Bench) -> None:
    bench.program("claude", "echo hello; echo 'claude 3.4' >&2")
    assert bench.listed()["claude"]["version"] == "3.4"


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo 'node 20.1.0 is too old' >&2; exit 3", "failed when asked for its version (exit 3): node 20.1.0 is too"),
        ("echo hello", "claude printed no version"),
        ("", "claude printed no version"),
    ],
)
def test_a_program_that_does_not_tell(bench: Bench, script: str, problem: str) -> None:
    bench.program("claude", script)
    found = bench.listed()["claude"]
    assert (found["version"], found["standing"]) == ("", "unknown")
    assert problem in found["problem"]
    said = bench.run()
    assert f"agentjobs: claude: {found['problem']}" in said.stderr
    assert row(said.lines, "claude") == f"claude Claude Code ? {RANGE} unknown"


NODE_20 = "echo v20.20.2"
KIMI_ON_NODE_20 = """\
cat >&2 <<'END'
import zlib, { createZstdDecompress, gzip } from "node:zlib";
               ^^^^^^^^^^^^^^^^^^^^
SyntaxError: The requested module 'node:zlib' does not provide an export named 'createZstdDecompress'
    at ModuleJob._instantiate (node:internal/modules/esm/module_job:213:21)

Node.js v20.20.2
END
exit 1"""
LACKS = "kimi needs Node.js 22.19; this is Node.js 20.20.2"


def test_what_a_program_needs_and_is_not_here(bench: Bench) -> None:
    bench.program("node", NODE_20)
    bench.program("kimi", KIMI_ON_NODE_20)
    found = bench.listed()["kimi"]
    assert (found["version"], found["problem"]) == ("", LACKS)
    assert bench.run("try", "kimi", code=1).stderr == f"agentjobs: {LACKS}\n"
    assert bench.left() == [], "it was not even begun"
    bench.project.configure({"profiles": {"default": {"agent": "kimi"}}})
    lines = [line for line in checked(bench) if "kimi" in line]
    assert len(lines) == 1
    assert lines[0].endswith(f": agent kimi: {LACKS}"), "an error: no task could run"


def test_a_program_that_starts_has_what_it_needs(bench: Bench) -> None:
    bench.program("node", NODE_20)
    bench.program("kimi", "echo 2.1.0")
    assert bench.listed()["kimi"]["problem"] == ""


def test_what_a_program_said_instead_of_its_version_is_its_message(bench: Bench) -> None:
    bench.program("node", "echo v22.19.0")
    bench.program("kimi", KIMI_ON_NODE_20)
    problem = bench.listed()["kimi"]["problem"]
    assert problem.startswith("kimi failed when asked for its version (exit 1): SyntaxError: The requested module")


def test_programs_are_told_not_to_phone_home(bench: Bench) -> None:
    bench.program("claude", 'echo "1.$DISABLE_TELEMETRY.$DISABLE_AUTOUPDATER"')
    assert bench.listed()["claude"]["version"] == "1.1.1"


def asked(path: Path, script: str) -> Agent:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Agent(command=(str(path),), version=(str(path), "--version"))


def test_all_are_asked_at_the_same_time(tmp_path: Path) -> None:
    """Each answers only once the other has been asked."""
    wait = "touch {mine}; until [ -e {other} ]; do sleep 0.01; done; echo 1.2"
    agents = {
        name: asked(tmp_path / name, wait.format(mine=f"{name}.there", other=f"{other}.there"))
        for name, other in (("a", "b"), ("b", "a"))
    }
    told = ask(agents, cwd=tmp_path, timeout_s=LONG_S)
    assert {name: answer.version for name, answer in told.items()} == {"a": "1.2", "b": "1.2"}


def test_one_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    hangs = "setsid sleep 600 & echo $! $$ >pids; sleep 600; echo 1.0"
    agents = {"slow": asked(tmp_path / "slow", hangs), "quick": asked(tmp_path / "quick", "echo 2.0")}
    told = ask(agents, cwd=tmp_path, timeout_s=6)
    assert told["quick"].version == "2.0"
    assert told["slow"].version == ""
    assert told["slow"].problem.endswith("slow did not print its version within 6 s")
    assert_gone(tmp_path / "pids")


def test_what_a_version_command_leaves_running_is_ended(tmp_path: Path) -> None:
    agents = {"a": asked(tmp_path / "a", "setsid sleep 600 & echo $! >pids; echo 2.0")}
    assert ask(agents, cwd=tmp_path, timeout_s=LONG_S)["a"].version == "2.0"
    assert_gone(tmp_path / "pids")


def assert_gone(pids: Path) -> None:
    deadline = time.monotonic() + LONG_S
    for pid in map(int, pids.read_text().split()):
        while alive(pid):
            assert time.monotonic() < deadline, f"{pid} lives"
            time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


# --- in a project -----------------------------------------------------------------------------------------


def test_what_a_project_makes_of_them(bench: Bench) -> None:
    bench.claude()
    bench.program("mine", "echo 7.5")
    bench.project.configure(
        profiles={"default": {"agent": "claude"}, "strong": {"agent": "opus"}, "odd": {"agent": "mine"}},
        agents={
            "claude": {"env": {"X": "1"}, "window": 100},
            "opus": {"preset": "claude", "flags": {"turns": ["--turns", "{value}"]}},
            "mine": {"command": ["mine"], "version": ["mine", "--version"], "tested": ["7.1", "7.9"]},
        },
    )
    lines = bench.run(inside=True).lines
    assert row(lines, "claude").endswith("tested profile default; changes env, window")
    assert row(lines, "opus").endswith(f"{TESTED} {RANGE} tested profile strong; is claude, and changes flags")
    assert row(lines, "mine") == "mine 7.5 7.1..7.9 tested profile odd; has a section"
    assert row(lines, "codex").endswith(presets.preset("codex")["tested"][-1])  # type: ignore[index]
    found = bench.listed(inside=True)
    assert found["opus"]["preset"] == "claude"
    assert found["claude"]["section"] == ["env", "window"]
    assert found["mine"]["profiles"] == ["odd"]


def test_a_wrong_section_is_told_and_the_rest_listed(bench: Bench) -> None:
    bench.claude()
    bench.project.configure(agents={"claude": {"comand": ["x"]}}, profiles={"default": {"agent": "claud"}})
    said = bench.run(inside=True)
    assert 'unknown key "comand" in [agents.claude]; did you mean "command"?' in said.stderr
    assert row(said.lines, "codex")
    (bench.project.root / "agentjobs.toml").write_text("slots = \n")
    said = bench.run(inside=True)
    assert said.stderr.startswith("agentjobs: agentjobs.toml:1:9: not valid TOML")
    assert row(said.lines, "claude").endswith("tested")


# --- show -------------------------------------------------------------------------------------------------


def test_show_prints_what_is_in_force(bench: Bench) -> None:
    for name in presets.names():
        shown = bench.run("show", name).stdout
        whole = {"preset": name, "account": name, **(presets.preset(name) or {})}
        assert tomllib.loads(shown) == {"agents": {name: whole}}
    rule = {"class": "limit", "text": "no more"}
    bench.project.configure(agents={"claude": {"env": {"IS_SANDBOX": "0", "X": "ü\\"}, "rules": [rule]}})
    shown = bench.run("show", "claude", inside=True).stdout
    assert shown.startswith("# preset claude; agentjobs.toml changes env, rules\n[agents.claude]\n")
    found = tomllib.loads(shown)["agents"]["claude"]
    assert found["env"]["IS_SANDBOX"] == "0"
    assert found["env"]["X"] == "ü\\"
    assert found["env"]["DISABLE_TELEMETRY"] == "1"
    assert found["rules"][0] == rule
    assert found["rules"][1]["class"] == "ok"


def test_names_that_lead_nowhere(bench: Bench) -> None:
    assert bench.run("show", "claud", code=1).stderr == 'agentjobs: unknown agent "claud"; did you mean "claude"?\n'
    assert bench.run("try", "codexx", code=1).stderr == 'agentjobs: unknown agent "codexx"; did you mean "codex"?\n'
    assert 'unknown agent "zz"; known: ' in bench.run("show", "zz", code=1).stderr
    bench.project.configure(agents={"claude": {"windw": 1}})
    said = bench.run("show", "claude", code=1, inside=True).stderr
    assert 'unknown key "windw" in [agents.claude]' in said
    assert said.startswith("agentjobs: agentjobs.toml:")


def test_wrong_usage(bench: Bench) -> None:
    bench.run("tryy", code=64)
    bench.run("try", code=64)
    bench.run("try", "claude", "--timeout", "0", code=64)
    bench.run("--json", "show", "claude", code=64)


# --- try --------------------------------------------------------------------------------------------------


def test_a_trial(bench: Bench) -> None:
    bench.claude()
    said = bench.run("try", "claude", "--model", "sonnet")
    first, _, second = said.stdout.partition("resumed:\n")
    session = first.partition("session  ")[2].split()[0]
    for turn, command in ((first, "--session-id"), (second, "--resume")):
        assert f"command  claude -p --output-format stream-json --verbose --dangerously-skip-permissions --model sonnet {command} {session}\n" in turn  # noqa: E501
        assert "class    ok\n" in turn
        assert f"session  {session}\n" in turn
    assert "spent    361 tokens (301 read, 20 from cache, 40 written), $0.0125\n" in first
    assert "spent    362 tokens (302 read, 20 from cache, 40 written), $0.0125\n" in second
    assert "hello.txt has the right content" in first
    assert "resumed.txt has the right content" in second
    assert said.lines[-1] == "claude works, and can continue a conversation"
    assert said.stderr == ""
    assert bench.left() == []


def test_a_trial_without_resume_is_one_turn(bench: Bench) -> None:
    bench.claude()
    said = bench.run("try", "claude", "--no-resume", CLAUDE_FAKE="forgets")
    assert "resumed:" not in said.stdout
    assert said.lines[-1] == "claude works"


def test_a_trial_that_is_kept_can_be_looked_at(bench: Bench) -> None:
    bench.claude()
    kept = Path(bench.run("try", "claude", "--keep").stderr.split()[2])
    assert kept.parent == bench.tmp
    assert (kept / ".agentjobs" / "trees" / "hello" / "resumed.txt").exists()
    shown = bench.project.run("-C", str(kept), "show", "hello", code=0).stdout
    assert "attempt 1  first" in shown
    assert "attempt 2  resume" in shown


def test_a_trial_uses_what_the_project_says(bench: Bench) -> None:
    bench.claude()
    tool = bench.project.root / "tool.sh"
    tool.write_text('#!/bin/sh\necho "$MINE" >"$CLAUDE_CONFIG_DIR.mine"; exec claude "$@"\n')
    tool.chmod(0o755)
    bench.project.configure(
        profiles={"default": {"agent": "mine", "model": "opus"}},
        agents={
            "mine": {
                "preset": "claude",
                "command": ["{root}/tool.sh", "{flags}", "--session-id", "{session}"],
                "env": {"MINE": "yes"},
            }
        },
    )
    said = bench.run("try", "mine", inside=True)
    assert f"command  {tool} --model opus --session-id " in said.stdout
    assert Path(f"{bench.config}.mine").read_text() == "yes\n"
    assert not (bench.project.root / ".agentjobs").exists()


def test_a_trial_happens_in_the_surroundings_of_the_project() -> None:
    raw = {
        "slots": 40, "inherit": ["X_*"], "workspace": {"sandbox": "bwrap", "writable": ["~/x"], "setup": "npm ci"},
        "limits": {"attempt_minutes": 1}, "profiles": {"a": {"agent": "claude", "model": "m", "turns": 3}},
    }  # fmt: skip
    place = Place(Path("/a{b"), raw=raw)
    found = tomllib.loads(policy_text(place, choices(place)["claude"], model=None, timeout_s=90))
    assert found["inherit"] == ["X_*"]
    assert found["workspace"] == {"sandbox": "bwrap", "writable": ["~/x"]}
    assert found["limits"]["attempt_minutes"] == 1.5
    assert found["profiles"] == {"default": {"agent": "claude", "model": "m", "verify": [CHECK], "scope": "any"}}
    assert "agents" not in found
    raw["agents"] = {"claude": {"command": ["{root}/x", "{{y}}"]}}
    place = Place(Path("/a{b"), raw=raw)
    found = tomllib.loads(policy_text(place, choices(place)["claude"], model="n", timeout_s=90))
    assert found["agents"] == {"claude": {"command": ["/a{{b/x", "{{y}}"]}}
    assert found["profiles"]["default"]["model"] == "n"


def test_an_agent_that_cannot_resume_is_no_failure(bench: Bench) -> None:
    bench.claude()
    bench.project.configure(agents={"claude": {"resume": []}})
    said = bench.run("try", "claude", inside=True)
    assert said.lines[-1] == "claude works (it has no resume command, so every attempt is a new conversation)"


@pytest.mark.parametrize(
    ("does", "shown", "why"),
    [
        ("nothing", "class    no_change", "it ended as no_change"),
        ("wrong", "class    ok", "hello.txt holds 'something else', not 'agentjobs was here: "),
        ("limit", "class    limit: ", "it ended as limit"),
        ("forgets", "resumed.txt is missing", "the resumed conversation did not remember the first turn"),
    ],
)
def test_a_trial_that_fails(bench: Bench, does: str, shown: str, why: str) -> None:
    bench.claude()
    said = bench.run("try", "claude", code=1, CLAUDE_FAKE=does)
    assert shown in said.stdout
    assert "the end of its log:\n" in said.stdout
    assert "  | done: " in said.stdout or "  | error: " in said.stdout
    assert "{" not in said.stdout.partition("the end of its log:\n")[2], "for people"
    kept, last = said.stderr.splitlines()
    assert last.startswith(f"agentjobs: claude does not work here: {why}")
    assert Path(kept.split()[2]).is_dir()
    assert bench.left() == [Path(kept.split()[2]).name]


def test_a_trial_that_hangs_ends_in_time(bench: Bench) -> None:
    bench.claude()
    said = bench.run("try", "claude", "--timeout", "6", code=1, CLAUDE_FAKE="hang")
    assert "class    timeout" in said.stdout
    assert_gone(bench.config / "pids")


def test_a_trial_of_what_is_not_there(bench: Bench) -> None:
    said = bench.run("try", "claude", code=1).stderr
    assert said == (
        "agentjobs: claude is not installed here: no program 'claude' on PATH; install Claude Code "
        "(npm install -g @anthropic-ai/claude-code), or name it by path\n"
    )
    bench.claude()
    bench.project.configure(agents={"claude": {"flags": {"model": []}}})
    said = bench.run("try", "claude", "--model", "x", code=1, inside=True).stderr
    assert "agent claude does not support it" in said
    assert bench.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_trial_that_is_interrupted_leaves_nothing(bench: Bench, number: signal.Signals) -> None:
    bench.claude()
    started = subprocess.Popen(
        [sys.executable, "-m", "agentjobs", "agents", "try", "claude"],
        cwd=bench.outside, env={**bench.project.env, **bench.env, "CLAUDE_FAKE": "hang"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + LONG_S
    while not (bench.config / "pids").exists():
        assert time.monotonic() < deadline
        assert started.poll() is None, started.communicate()
        time.sleep(0.01)
    started.send_signal(number)
    _, stderr = started.communicate(timeout=LONG_S)
    assert (started.returncode, stderr) == (130, b"agentjobs: interrupted; the agent was stopped\n")
    assert_gone(bench.config / "pids")
    assert bench.left() == []


# --- check ------------------------------------------------------------------------------------------------


def checked(bench: Bench, **env: str) -> list[str]:
    bench.project.plans(a="ok")
    found = bench.project.run("check", env={**bench.env, **env})
    return found.stderr.splitlines()


def line_of(bench: Bench, text: str) -> int:
    return (bench.project.root / "agentjobs.toml").read_text().splitlines().index(text) + 1


def test_check_warns_of_a_version_that_was_not_tested(bench: Bench) -> None:
    bench.claude()
    bench.project.configure({"profiles": {"default": {"agent": "claude"}}})
    assert not any("claude" in line for line in checked(bench))
    at = line_of(bench, 'agent = "claude"')
    assert (
        f"agentjobs: agentjobs.toml:{at}: warning: agent claude: 99.1 is newer than tested ({RANGE}); "
        "`agentjobs agents try claude` shows whether it works"
    ) in checked(bench, CLAUDE_FAKE_VERSION="99.1")
    bench.program("claude", "exit 1")
    assert any("warning: agent claude: claude failed when asked" in line for line in checked(bench))
    bench.project.configure({"agents": {"claude": {"tested": []}}})
    assert any("warning: agent claude: its preset was never tested" in line for line in checked(bench))


def test_check_says_how_an_agent_is_installed(bench: Bench) -> None:
    bench.project.configure({"profiles": {"default": {"agent": "claude"}}})
    at = line_of(bench, 'agent = "claude"')
    assert (
        f"agentjobs: agentjobs.toml:{at}: agent claude: no program 'claude' on PATH; install Claude Code "
        "(npm install -g @anthropic-ai/claude-code), or name it by path"
    ) in checked(bench)

