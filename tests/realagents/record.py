"""``python -m tests.realagents.record [agent/case ...]``: run the real CLIs against the mock, keep what they say.

Writes tests/fixtures/agents/<agent>/<case>/{stdout,stderr,meta.json} with every path, port and id of this machine
replaced. ``usage`` in meta.json is what the mock served, not what the CLI says it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from tests.kit.mockmodel import MockModel
from tests.realagents import CACHE, NAMES, REPOSITORY, Real, environment, program, real
from tests.realagents.cases import CASES, RESET, SCRIPTS

FIXTURES = REPOSITORY / "tests" / "fixtures" / "agents"
LONGEST_LINE = 4000
LONGEST_RUN_S = 200
LONGEST_TRANSCRIPT = 60_000
LONGEST_TEXT, LONGEST_LIST = 120, 3
KILLED = "sigkill"
"""The beginning of the names of cases in which somebody kills the CLI once the mock hangs."""
PROMPT = "Write ok into out.txt.\n"


def run(
    agent: str,
    argv: list[str],
    env: dict[str, str],
    tree: Path,
    kill: int,
    model: MockModel,
    most: int = 0,
    most_s: float = 0,
) -> Any:
    """Run the CLI in a new session; with ``kill``, send that signal to its group once the mock hangs or has had
    ``most`` requests, or after ``most_s`` seconds."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = subprocess.Popen(
            [str(program(agent)), *argv],
            cwd=tree, env=env, stdin=subprocess.PIPE, stdout=out, stderr=err, start_new_session=True,
        )  # fmt: skip
        assert started.stdin is not None
        started.stdin.write(b"" if real(agent).argument else PROMPT.encode())
        started.stdin.close()
        began = time.monotonic()
        deadline = began + LONGEST_RUN_S
        while kill and started.poll() is None and time.monotonic() < deadline:
            if any(request["hung"] for request in model.requests) or (
                (most and len(model.requests) >= most) or (most_s and time.monotonic() - began >= most_s)
            ):
                time.sleep(real(agent).settle_s)
                os.killpg(started.pid, kill)
                break
            time.sleep(0.02)
        try:
            code = started.wait(LONGEST_RUN_S)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
            raise
        out.seek(0)
        err.seek(0)
        return code, out.read().decode(), err.read().decode()


def scrub(text: str, places: dict[str, str], noise: str = "") -> str:
    """Replace what names this machine, and cut lines that only list what the CLI has."""
    for old, new in places.items():
        text = text.replace(old, new)
    lines = []
    for line in text.splitlines():
        if noise and re.search(noise, line):
            continue
        if len(line) > LONGEST_LINE and '"subtype":"init"' in line:
            kept = {key: value for key, value in json.loads(line).items() if not isinstance(value, list | dict)}
            lines.append(json.dumps(kept, separators=(",", ":")))
        else:
            lines.append(line)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:0", "".join(line + "\n" for line in lines))
    text = re.sub(r"/tmp/cc-socks/\d+", "/tmp/cc-socks/0", text)
    return re.sub(r'(PGID: |"pid":)\d+', r"\g<1>1", text)


def shortened(text: str) -> str:
    """Cut the long texts in JSON lines: a CLI's own instructions, and what it lists, do not belong into a fixture."""

    def cut(value: Any, most: int | None = LONGEST_LIST) -> Any:
        if isinstance(value, dict):
            return {name: cut(item, most) for name, item in value.items()}
        if isinstance(value, list):
            return [cut(item, most) for item in value[:most]]
        return value[:LONGEST_TEXT] if isinstance(value, str) else value

    if text.startswith("{\n"):  # one value over many lines
        return json.dumps(cut(json.loads(text), None), indent=2)
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.dumps(cut(json.loads(line)), separators=(",", ":")))
        except ValueError:
            lines.append(line[:LONGEST_LINE])
    return "".join(line + "\n" for line in lines)


def dump(path: Path, tables: tuple[str, ...]) -> str:
    """Return tables of an SQLite database as SQL: a database is not text, and is large even when empty."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        return "".join(
            line + "\n"
            for line in database.iterdump()
            if any(re.match(rf'(CREATE TABLE|INSERT INTO) [`"]?{table}[`"]?\W', line) for table in tables)
        )


def kept_on_disk(one: Real, home: Path) -> dict[Path, str]:
    """Return the files in which the CLI keeps its sessions, as a fixture has them."""
    paths = sorted(path for glob in one.transcripts for path in home.glob(glob))
    if one.tables:
        return {path.with_name(path.name + ".sql"): dump(path, one.tables) for path in paths}
    return {path: shortened(path.read_text(errors="replace")) for path in paths}


def record(agent: str, case: str, scratch: Path) -> None:
    """Make one recording anew."""
    tree, home, session = scratch / "tree", scratch / "home", str(uuid.uuid4())
    tree.mkdir()
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    one = real(agent)
    stops = case == "hang" or case in one.ends | one.ends_s
    kill = signal.SIGTERM if stops else signal.SIGKILL if case.startswith(KILLED) else 0
    prompt = scratch / "prompt.md"
    prompt.write_text(PROMPT)

    def arguments(template: list[str]) -> list[str]:
        values = {"{session}": session, "{prompt}": str(prompt), "{text}": PROMPT, "{dir}": str(home)}
        for name, value in values.items():
            template = [part.replace(name, value) for part in template]
        return template

    with MockModel(one.scripts[case] if case in one.scripts else SCRIPTS[case]) as model:
        env = environment(agent, home, model.address, case)
        again = one.resume or one.start
        template = again if case == "no_session" else one.start
        template = template + one.more.get(case, [])
        most, most_s = one.ends.get(case, 0), one.ends_s.get(case, 0)
        code, out, err = run(agent, arguments(template), env, tree, kill, model, most, most_s)
        kept = kept_on_disk(one, home)
        told = (re.search(one.learns, text) for text in (out, *map(str, kept), *kept.values()) if one.learns)
        session = next((found[1] for found in told if found), session)
        runs = [list(model.served())]
        if case in {"resume", "busy"}:
            template = again if case == "resume" else one.start
            code, out, err = run(agent, arguments(template), env, tree, 0, model)
            if case == "resume":
                assert model.requests[-1]["earlier_turns"], "the resumed conversation has no earlier turns"
            whole = model.served()
            runs.append([whole[0] - runs[0][0], whole[1] - runs[0][1]])
    machine = os.uname()
    ended_at = int(time.time())
    places = {machine.version: "#1", machine.release: "6.0", machine.nodename: "machine"}
    places |= {sys.base_prefix: "/usr", "/$bunfs/root": "/$bunfs"}
    places |= {str(tree): "/work/tree", str(home): "/home/user", str(CACHE): "/opt/agents", str(scratch): "/scratch"}
    meta = {
        "agent": agent,
        "version": one.version,
        "argv": [Path(one.program).name, *template],
        "exit": code if code >= 0 else None,
        "signal": -code if code < 0 else None,
        "class": (CASES | one.classes)[case],
        "session": session,
        "usage": {"tokens": sum(runs[-1]), "session_tokens": sum(map(sum, runs)), "runs": runs, "cost": None},
    }
    if case == "limit" and meta["class"] == "limit":
        meta |= {"reset": RESET, "at": ended_at}
    unknown = {"usage_unknown": one.usage_unknown, "reset_unknown": one.reset_unknown}
    meta |= {name: True for name, cases in unknown.items() if case in cases}
    if case in one.notes:
        meta["note"] = one.notes[case]
    into = FIXTURES / agent / case
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    (into / "stdout").write_text(scrub(out, places, one.noise))
    (into / "stderr").write_text(scrub(err, places))
    (into / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
    for number, (path, text) in enumerate(kept_on_disk(one, home).items(), 1):
        if len(text) < LONGEST_TRANSCRIPT:
            copy = into / "home" / path.relative_to(home)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(scrub(text, places, one.noise))
        else:
            print(f"{agent}/{case}: transcript {number} is too large and left out: {path.name}", file=sys.stderr)
    print(f"{agent}/{case}: {code}, {len(model.requests)} requests", flush=True)


def main() -> None:
    """Record what was named, or everything."""
    for name in sys.argv[1:] or [f"{agent}/{case}" for agent in NAMES for case in CASES | real(agent).classes]:
        agent, case = name.split("/")
        if real(agent).resume is None and case in {"resume", "no_session"}:
            continue
        scratch = Path(tempfile.mkdtemp(prefix="recording-"))
        try:
            record(agent, case, scratch)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            print(f"{name}: not recorded: {error}", file=sys.stderr, flush=True)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
