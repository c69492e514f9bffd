"""``python -m tests.realagents.record [agent/case ...]``: run the real CLIs against the mock, keep what they say.

Writes tests/fixtures/agents/<agent>/<case>/{stdout,stderr,meta.json} with every path, port and id of this machine
replaced. ``usage`` in meta.json is what the mock served, not what the CLI says it was.
"""

from __future__ import annotations

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
from pathlib import Path
from typing import Any

from tests.mockmodel import MockModel
from tests.realagents import CACHE, NAMES, REPOSITORY, environment, program, real
from tests.realagents.cases import CASES, RESET, SCRIPTS

FIXTURES = REPOSITORY / "tests" / "fixtures" / "agents"
LONGEST_LINE = 4000
LONGEST_RUN_S = 60
LONGEST_TRANSCRIPT = 60_000
LONGEST_TEXT, LONGEST_LIST = 120, 3
PROMPT = "Write ok into out.txt.\n"


def run(agent: str, argv: list[str], env: dict[str, str], tree: Path, kill: int, model: MockModel) -> Any:
    """Run the CLI in its own session; with ``kill``, send that signal to its group once the mock hangs."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = subprocess.Popen(
            [str(program(agent)), *argv],
            cwd=tree, env=env, stdin=subprocess.PIPE, stdout=out, stderr=err, start_new_session=True,
        )  # fmt: skip
        assert started.stdin is not None
        started.stdin.write(b"" if real(agent).argument else PROMPT.encode())
        started.stdin.close()
        deadline = time.monotonic() + LONGEST_RUN_S
        while kill and started.poll() is None and time.monotonic() < deadline:
            if sum(not request["side"] for request in model.requests) >= 2:
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
    """Cut the long texts in JSON lines: a CLI's own instructions, and what it lists, are no business of a fixture."""

    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: cut(item) for name, item in value.items()}
        if isinstance(value, list):
            return [cut(item) for item in value[:LONGEST_LIST]]
        return value[:LONGEST_TEXT] if isinstance(value, str) else value

    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.dumps(cut(json.loads(line)), separators=(",", ":")))
        except ValueError:
            lines.append(line[:LONGEST_LINE])
    return "".join(line + "\n" for line in lines)


def record(agent: str, case: str, scratch: Path) -> None:
    """Make one recording anew."""
    tree, home, session = scratch / "tree", scratch / "home", str(uuid.uuid4())
    tree.mkdir()
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    one, kill = real(agent), {"hang": signal.SIGTERM, "sigkill": signal.SIGKILL}.get(case, 0)
    prompt = scratch / "prompt.md"
    prompt.write_text(PROMPT)

    def arguments(template: list[str]) -> list[str]:
        values = {"{session}": session, "{prompt}": str(prompt), "{text}": PROMPT}
        for name, value in values.items():
            template = [part.replace(name, value) for part in template]
        return template

    with MockModel(one.scripts[case] if case in one.scripts else SCRIPTS[case]) as model:
        env = environment(agent, home, model.address, case)
        again = one.resume or one.start
        template = again if case == "no_session" else one.start
        code, out, err = run(agent, arguments(template), env, tree, kill, model)
        found = re.search(one.learns, out) if one.learns else None
        session = found[1] if found else session
        runs = [list(model.served())]
        if case in {"resume", "busy"}:
            template = again if case == "resume" else one.start
            code, out, err = run(agent, arguments(template), env, tree, 0, model)
            if case == "resume":
                assert model.requests[-1]["earlier_turns"], "the resumed conversation has no earlier turns"
            whole = model.served()
            runs.append([whole[0] - runs[0][0], whole[1] - runs[0][1]])
    places = {str(tree): "/work/tree", str(home): "/home/user", str(CACHE): "/opt/agents", str(scratch): "/scratch"}
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
    if case == "limit":
        meta |= {"reset": RESET, "at": int(time.time())}
    if case in one.notes:
        meta["note"] = one.notes[case]
    into = FIXTURES / agent / case
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    (into / "stdout").write_text(scrub(out, places, one.noise))
    (into / "stderr").write_text(scrub(err, places))
    (into / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
    for number, path in enumerate(sorted(path for glob in one.transcripts for path in home.glob(glob)), 1):
        text = shortened(path.read_text(errors="replace"))
        if len(text) < LONGEST_TRANSCRIPT:
            kept = into / "home" / path.relative_to(home)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(scrub(text, places, one.noise))
        else:
            print(f"{agent}/{case}: transcript {number} is too large and left out: {path.name}", file=sys.stderr)
    print(f"{agent}/{case}: {code}, {len(model.requests)} requests", flush=True)


def main() -> None:
    """Record what was named, or everything."""
    for name in sys.argv[1:] or [f"{agent}/{case}" for agent in NAMES for case in CASES | real(agent).classes]:
        agent, case = name.split("/")
        scratch = Path(tempfile.mkdtemp(prefix="recording-"))
        try:
            record(agent, case, scratch)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            print(f"{name}: not recorded: {error}", file=sys.stderr, flush=True)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
