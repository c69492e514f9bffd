"""``python -m tests.outside.drive AGENT ... [--scenario NAME ...]``: real CLIs against the second mock; one row each.

For each agent and scenario: a scratch repository and HOME in a new directory below ``--into`` (it stays, to be looked
at), dummy keys, telemetry off, no variable of the caller but PATH; ``agentjobs dispatch``, then ``poll`` until it exits
2 or 3 or the scenario's time is over, then ``stop``. A row says what came of it, beside what was wanted.

- ``--install``: the newest CLIs first, into ``.cache/agents-new`` (else they must be there)
- ``--pinned``: those of ``.cache/agents`` (``make agents``) in place of the newest
- ``--code DIR``: another clone's agentjobs
- ``--raw DIR``: no agentjobs at all: start the CLI once as the preset does, keep ``stdout``, ``stderr``, ``exit``,
  ``requests.jsonl`` and its transcripts in ``DIR/AGENT/SCENARIO``
- ``--list``: the scenarios
- ``--timeout S``: at most S seconds for one scenario, in place of the time that it names
- ``--skip N``: let the time of the first N pauses pass at once, so that a run reaches its bound

In the rows: ``starts`` are attempts whose agent was started, ``late`` those after the trouble began; ``tokens`` are
counted / served whole / served at all (an answer that was cut counts only there); ``cost`` is counted / list price of
what was served (claude only); ``left`` are processes that still live.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.kit.harness import Project, kill_all, merged
from tests.outside import clis
from tests.outside.mock import Mock
from tests.outside.scenarios import SCENARIOS, Scenario
from tests.realagents import NAMES, REPOSITORY, real

if TYPE_CHECKING:
    from collections.abc import Sequence

PRICES = {"messages": (3.0, 0.3, 3.75, 15.0)}
"""US dollars a million tokens of Claude Sonnet: fresh, read, written, output."""
PROMPT = "[[task {{ id }}]] Write the line ok into the file out-{{ id }}.txt.\n{{ errors }}\n"
POLL_S = "2"


@dataclass
class Row:
    """What came of one scenario with one agent."""

    agent: str
    version: str
    scenario: str
    statuses: dict[str, int] = field(default_factory=dict)
    outcomes: list[str] = field(default_factory=list)
    starts: int = 0
    late: int = 0
    spent_attempts: int = 0
    counted: int = 0
    served: int = 0
    served_at_all: int = 0
    cost: float | None = None
    price: float | None = None
    polls: str = ""
    took_s: float = 0.0
    left: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    wanted: str = ""
    directory: str = ""

    def text(self) -> str:
        """Return the row as a person reads it."""
        statuses = " ".join(f"{count} {name}" for name, count in sorted(self.statuses.items()))
        cost = "-" if self.cost is None else f"{self.cost:.4f}"
        price = "-" if self.price is None else f"{self.price:.4f}"
        runs = self.outcomes if len(self.outcomes) < 9 else [*self.outcomes[:8], f"… {len(self.outcomes)}"]
        lines = [
            f"{self.agent} {self.version} {self.scenario}: {statuses}; exits {self.polls}; {self.took_s:.0f} s",
            f"    wanted   {self.wanted}",
            f"    outcomes {', '.join(runs)}",
            f"    starts   {self.starts}, late {self.late}, attempts spent {self.spent_attempts}; left {self.left}",
            f"    tokens   {self.counted} / {self.served} / {self.served_at_all}   cost {cost} / {price}",
        ]
        lines += [f"    note     {note}" for note in self.notes[:3]]
        lines += [f"    said     {line}" for line in self.said[-3:]]
        lines.append(f"    in       {self.directory}")
        return "\n".join(lines)


def clean(home: Path) -> dict[str, str]:
    """Return the environment that agentjobs itself runs in: ``env -i``, except PATH and what git needs."""
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "TZ": "UTC"}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{who}_NAME": "Mock", f"GIT_{who}_EMAIL": "mock@example.invalid"}
    return env


class Outside(Project):
    """A scratch project whose agent is a real CLI."""

    code: Path = REPOSITORY
    person: dict[str, str]

    def agentjobs(self, *args: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run the program as a person's loop does, in an environment that holds nothing."""
        return subprocess.run(
            [sys.executable, "-m", "agentjobs", *args],
            cwd=self.root, env={**self.person, "PYTHONPATH": str(self.code)}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip


def project_for(name: str, scenario: Scenario, mock: Mock, into: Path, options: argparse.Namespace) -> Outside:
    """Make the project: only the preset, and where the CLI, its HOME and the model are."""
    env = clis.environment(
        name, into / "home", mock.address, oauth=scenario.oauth, patient=scenario.patient, pinned=options.pinned
    )
    profile: dict[str, Any] = {"agent": name, "verify": ['grep -qs "^ok" "out-$AGENTJOBS_TASK.txt"'], "scope": "any"}
    if real(name).model and name != "codex":
        profile["model"] = real(name).model
    settings: dict[str, Any] = {
        "agents": {"fake": None, name: {"env": env}},
        "profiles": {"default": profile},
        "retry": {"diagnose_above": None, "task_value_usd": None},
        "limits": {"stop_grace_s": 5, "finish_grace_s": None, "breaker": None, "start_interval_s": 0.2},
        "slots": 2,
    }
    project = Outside(into / "p", files=scenario.files, settings=merged(settings, scenario.settings))
    project.code = Path(options.code)
    project.person = clean(into / "person")
    project.rows(*({"id": f"t{number:02d}"} for number in range(1, scenario.rows + 1)))
    (project.root / "prompt.md.j2").write_text(PROMPT)
    return project


def living(into: Path) -> list[tuple[int, str]]:
    """Return the processes whose environment or command names the directory."""
    mark, found = os.fsencode(into), []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            environ = Path(f"/proc/{name}/environ").read_bytes()
            command = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if b"=" + mark in environ and command:
                found.append((int(name), command[:80]))
    return found


def looped(
    project: Outside, scenario: Scenario, options: argparse.Namespace, began: float
) -> tuple[list[int], list[str], dict[str, dict[str, str]]]:
    """Dispatch, then poll to the end or until the time is over; return exit codes, what was said, and the table."""
    done = project.agentjobs("dispatch")
    exits, said = [done.returncode], (done.stdout + done.stderr).splitlines()
    skipped = 0
    while done.returncode == 0 and time.monotonic() - began < (options.timeout or scenario.longest_s):
        done = project.agentjobs("poll", "--wait", POLL_S)
        said += (done.stdout + done.stderr).splitlines()
        exits.append(done.returncode)
        if skipped < options.skip and (gone := project.skip_pause()):
            skipped += 1
            said.append(f"skipped {gone:.0f} s of a pause")
    said += [f"status: {line}" for line in project.agentjobs("status").stdout.splitlines()]
    return exits, said, project.table()


def run(name: str, key: str, options: argparse.Namespace) -> Row:
    """Run one scenario with one agent through agentjobs."""
    scenario = SCENARIOS[key]
    into = Path(tempfile.mkdtemp(prefix=f"{name}-{key}-", dir=options.into))
    row = Row(name, clis.version(name, options.pinned), key, wanted=scenario.wanted, directory=str(into))
    began = time.monotonic()
    with Mock(scenario, log=into / "requests.jsonl", plain=clis.CLIS[name].plain) as mock:
        project = project_for(name, scenario, mock, into, options)
        try:
            exits, said, table = looped(project, scenario, options, began)
            row.took_s = time.monotonic() - began
        finally:
            project.agentjobs("stop")
            left = living(into)
            kill_all([pid for pid, _ in left])
        row.left = [command for _, command in left]
        collect(row, project, mock, table)
    row.polls = " ".join(f"{code}" for code in dict.fromkeys(exits))
    row.said = said
    (into / "said.txt").write_text("\n".join(said) + "\n")
    (into / "row.json").write_text(json.dumps(row.__dict__, indent=1, default=str) + "\n")
    return row


def collect(row: Row, project: Outside, mock: Mock, table: dict[str, dict[str, str]]) -> None:
    """Fill in what agentjobs says, and what the mock knows."""
    for cells in table.values():
        status = cells.get("status") or "TODO"
        row.statuses[status] = row.statuses.get(status, 0) + 1
        row.counted += int((cells.get("tokens") or "0").replace(",", "").replace("≤", "") or 0)
        cost = re.search(r"[\d.]+", cells.get("cost") or "")
        if cost:
            row.cost = (row.cost or 0.0) + float(cost[0])
    row.notes = list(dict.fromkeys(cells["note"] for cells in table.values() if cells.get("note")))
    bad = next((mock.began + request.at for request in mock.requests if not request.whole), float("inf"))
    for task in table:
        for facts in project.attempts(task):
            if "agent" in facts:
                row.starts += 1
                row.late += facts["attempt"]["started_at"] > bad
                result = facts.get("result") or {}
                row.outcomes.append(result.get("outcome") or "open")
    unspent = len(list((project.root / ".agentjobs" / "unspent").glob("*")))
    row.spent_attempts = row.starts - unspent
    whole, ever = mock.served(), mock.served(whole=False)
    row.served, row.served_at_all = whole.tokens, ever.tokens
    api = next((request.api for request in mock.requests), "")
    if api in PRICES:
        fresh, read, written, output = PRICES[api]
        row.price = (
            whole.fresh * fresh + whole.read * read + whole.written * written + whole.output * output
        ) / 1_000_000


def raw(name: str, key: str, options: argparse.Namespace) -> str:
    """Start the CLI once, without agentjobs, and keep what it says."""
    scenario, one = SCENARIOS[key], real(name)
    into = Path(options.raw) / name / key
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"raw-{name}-{key}-", dir=options.into))
    tree, home = scratch / "tree", scratch / "home"
    tree.mkdir()
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    text = PROMPT.replace("{{ id }}", "t01").replace("{{ errors }}\n", "")
    prompt = scratch / "prompt.md"
    prompt.write_text(text)
    with Mock(scenario, log=into / "requests.jsonl", plain=clis.CLIS[name].plain) as mock:
        env = clis.environment(
            name, home, mock.address, oauth=scenario.oauth, patient=scenario.patient, pinned=options.pinned
        )
        values = {"{session}": str(uuid.uuid4()), "{prompt}": str(prompt), "{text}": text, "{dir}": str(home)}
        argv = one.start
        if key == "budget":
            argv = [*argv[:1], "--max-budget-usd", "0.4", *argv[1:]]
        if key == "turns":
            argv = [*argv[:1], *{"claude": ["--max-turns", "4"]}.get(name, ["--max-session-turns", "4"]), *argv[1:]]
        for old, new in values.items():
            argv = [part.replace(old, new) for part in argv]
        if name == "codex":
            argv = [part for part in argv if part not in {"-m", "mock"}]
        began = time.monotonic()
        with (into / "stdout").open("wb") as out, (into / "stderr").open("wb") as err:
            started = subprocess.Popen(
                [str(clis.program(name, options.pinned)), *argv],
                cwd=tree, env=env, stdin=subprocess.PIPE, stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip
            assert started.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                started.stdin.write(b"" if one.argument else text.encode())
                started.stdin.close()
            try:
                code: int | str = started.wait(options.timeout or scenario.longest_s)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    started.wait(10)
                code = f"ended by us after {time.monotonic() - began:.0f} s"
        kill_all([pid for pid, _ in living(scratch)])
        for glob in one.transcripts:
            for path in home.glob(glob):
                copy = into / "home" / path.relative_to(home)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
        served = mock.served()
        told = {
            "agent": name, "version": clis.version(name, options.pinned), "scenario": key, "exit": code,
            "took_s": round(time.monotonic() - began, 1), "argv": argv, "requests": len(mock.requests),
            "served": served.__dict__ | {"tokens": served.tokens}, "session": values["{session}"],
            "scratch": str(scratch), "reset": mock.reset,
        }  # fmt: skip
    (into / "meta.json").write_text(json.dumps(told, indent=1) + "\n")
    return (
        f"{name} {key}: exit {code}, {told['took_s']} s, {told['requests']} requests, served {served.tokens} -> {into}"
    )


def chosen(name: str, keys: Sequence[str]) -> list[str]:
    """Return the scenarios that make sense for an agent, of those named or of all but the sweeps and the slow ones."""
    usual = [key for key, one in SCENARIOS.items() if one.rows < 20 and not one.patient]
    return [key for key in keys or usual if not SCENARIOS[key].only or name in SCENARIOS[key].only]


def main() -> None:
    """Drive what was named."""
    parser = argparse.ArgumentParser(prog="python -m tests.outside.drive")
    parser.add_argument("agents", nargs="*", choices=[*NAMES, []], metavar="AGENT")
    parser.add_argument("--scenario", nargs="+", default=[], choices=sorted(SCENARIOS), metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--pinned", action="store_true")
    parser.add_argument("--code", default=str(REPOSITORY))
    parser.add_argument("--raw", default="")
    parser.add_argument("--timeout", type=float, default=0.0)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--into", default=tempfile.gettempdir())
    options = parser.parse_args()
    if options.list:
        for key, one in SCENARIOS.items():
            print(f"{key:14} {one.about}\n{'':14} wanted: {one.wanted}")
    os.makedirs(options.into, exist_ok=True)
    for name in options.agents:
        if options.install:
            clis.install(name)
        for key in chosen(name, options.scenario):
            try:
                print(raw(name, key, options) if options.raw else run(name, key, options).text(), flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                print(f"{name} {key}: NOT RUN: {error!r}", flush=True)


if __name__ == "__main__":
    main()
