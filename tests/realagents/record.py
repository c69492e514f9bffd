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
from tests.realagents import CACHE, REAL, REPOSITORY, prepare, program

FIXTURES = REPOSITORY / "tests" / "fixtures" / "agents"
LONGEST_LINE = 4000
LONGEST_RUN_S = 60
EDIT: list[dict[str, Any]] = [
    {"write": {"path": "out.txt", "text": "ok\n"}, "usage": [101, 11]},
    {"text": "Done.", "usage": [203, 23]},
]
RESET = int(time.time()) // 3600 * 3600 + 4 * 3600
LIMITS: dict[str, dict[str, Any]] = {
    "claude": {
        "headers": {
            "anthropic-ratelimit-unified-status": "rejected",
            "anthropic-ratelimit-unified-reset": str(RESET),
            "anthropic-ratelimit-unified-representative-claim": "five_hour",
            "anthropic-ratelimit-unified-5h-status": "rejected",
            "anthropic-ratelimit-unified-5h-reset": str(RESET),
            "anthropic-ratelimit-unified-5h-utilization": "1.0",
        },
        "error": "rate_limit_error",
    },
    "codex": {"error": "usage_limit_reached", "more": {"plan_type": "plus", "resets_at": RESET}},
}
AUTH: dict[str, Any] = {"status": 401, "error": "authentication_error", "message": "invalid x-api-key"}
CONTEXT: dict[str, dict[str, Any]] = {
    "claude": {"error": "invalid_request_error", "message": "prompt is too long: 250000 tokens > 200000 maximum"},
    "codex": {
        "error": "invalid_request_error",
        "code": "context_length_exceeded",
        "message": "Your input exceeds the context window of this model.",
    },
}
CASES: dict[str, str] = {
    "ok": "ok",
    "limit": "limit",
    "overload": "overloaded",
    "auth": "auth",
    "context": "context_full",
    "cut": "crashed",
    "hang": "stalled",
    "sigkill": "crashed",
    "resume": "ok",
    "no_session": "no_session",
}


def script(agent: str, case: str) -> list[dict[str, Any]]:
    """Return what the mock says in a case."""
    if case == "limit":
        return [{"status": 429, "message": "usage limit"} | LIMITS[agent]]
    if case == "overload":
        return [{"status": 529 if agent == "claude" else 503, "error": "overloaded_error", "message": "Overloaded"}]
    if case == "context":
        return [{"status": 400} | CONTEXT[agent]]
    special: dict[str, list[dict[str, Any]]] = {"auth": [AUTH], "cut": [{"text": "Half of", "fault": "cut"}]}
    if case in {"hang", "sigkill"}:
        return [EDIT[0], {"fault": "hang"}]
    return special.get(case, EDIT)


def run(agent: str, argv: list[str], env: dict[str, str], tree: Path, kill: int, model: MockModel) -> Any:
    """Run the CLI in its own session; with ``kill``, send that signal to its group once the mock hangs."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = subprocess.Popen(
            [str(program(agent)), *argv],
            cwd=tree, env=env, stdin=subprocess.PIPE, stdout=out, stderr=err, start_new_session=True,
        )  # fmt: skip
        assert started.stdin is not None
        started.stdin.write(b"Write ok into out.txt.\n")
        started.stdin.close()
        deadline = time.monotonic() + LONGEST_RUN_S
        while kill and started.poll() is None and time.monotonic() < deadline:
            if sum(not request["side"] for request in model.requests) >= 2:
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


def scrub(text: str, places: dict[str, str]) -> str:
    """Replace what names this machine, and cut lines that only list what the CLI has."""
    for old, new in places.items():
        text = text.replace(old, new)
    lines = []
    for line in text.splitlines():
        if len(line) > LONGEST_LINE and '"subtype":"init"' in line:
            kept = {key: value for key, value in json.loads(line).items() if not isinstance(value, list | dict)}
            lines.append(json.dumps(kept, separators=(",", ":")))
        else:
            lines.append(line)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:0", "".join(line + "\n" for line in lines))
    return re.sub(r"/tmp/cc-socks/\d+", "/tmp/cc-socks/0", text)


def record(agent: str, case: str, scratch: Path) -> None:
    """Make one recording anew."""
    tree, home, session = scratch / "tree", scratch / "home", str(uuid.uuid4())
    tree.mkdir()
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    real, kill = REAL[agent], {"hang": signal.SIGTERM, "sigkill": signal.SIGKILL}.get(case, 0)
    with MockModel(script(agent, case)) as model:
        env = prepare(agent, home, model.address, oauth=case == "limit")
        template = real.resume if case == "no_session" else real.start
        code, out, err = run(agent, [part.format(session=session) for part in template], env, tree, kill, model)
        found = re.search(r'"thread_id":"([^"]+)"', out)
        session = found[1] if found else session
        runs = [list(model.served())]
        if case == "resume":
            template = real.resume
            code, out, err = run(agent, [part.format(session=session) for part in template], env, tree, 0, model)
            assert model.requests[-1]["earlier_turns"], "the resumed conversation has no earlier turns"
            whole = model.served()
            runs.append([whole[0] - runs[0][0], whole[1] - runs[0][1]])
    places = {str(tree): "/work/tree", str(home): "/home/user", str(CACHE): "/opt/agents", str(scratch): "/scratch"}
    meta = {
        "agent": agent,
        "version": real.version,
        "argv": [real.program, *template],
        "exit": code if code >= 0 else None,
        "signal": -code if code < 0 else None,
        "class": CASES[case],
        "session": session,
        "usage": {"tokens": sum(runs[-1]), "session_tokens": sum(map(sum, runs)), "runs": runs, "cost": None},
    }
    if case == "limit":
        meta["reset"] = RESET
    into = FIXTURES / agent / case
    into.mkdir(parents=True, exist_ok=True)
    (into / "stdout").write_text(scrub(out, places))
    (into / "stderr").write_text(scrub(err, places))
    (into / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
    print(f"{agent}/{case}: {code}, {len(model.requests)} requests", flush=True)


def main() -> None:
    """Record what was named, or everything."""
    for name in sys.argv[1:] or [f"{agent}/{case}" for agent in REAL for case in CASES]:
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
