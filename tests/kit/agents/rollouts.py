"""Stands for codex: it keeps a rollout of each conversation in CODEX_HOME, and says the id only after a while.

Its first conversation of a task overflows, and its rollout looks as if somebody went on writing it: the clock of the
disk is ahead. Any other does the work. Before it prints its id, it prints lines and waits
until each has been read. So the program that watches it has looked several times at its files on disk.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from pathlib import Path

WINDOW = 258_400
LONG_S = 60.0

home = Path(os.environ["CODEX_HOME"])
attempt = Path(os.environ["AGENTJOBS_PROMPT"]).parent
task = os.environ["AGENTJOBS_TASK"]
session = os.environ["AGENTJOBS_SESSION"] or str(uuid.uuid4())
rollout = home / f"sessions/2026/11/30/rollout-2026-11-30T10-00-00-{session}.jsonl"
printed = 0


def say(**line: object) -> None:
    global printed  # noqa: PLW0603 - a script
    text = json.dumps(line) + "\n"
    printed += len(text)
    sys.stdout.write(text)
    sys.stdout.flush()


def keep(**line: object) -> None:
    rollout.parent.mkdir(parents=True, exist_ok=True)
    with rollout.open("a") as file:
        file.write(json.dumps(line) + "\n")


def used(tokens: int) -> None:
    usage = {"total_tokens": tokens, "input_tokens": tokens, "output_tokens": 0}
    info = {"total_token_usage": usage, "last_token_usage": usage, "model_context_window": WINDOW}
    keep(type="event_msg", payload={"type": "token_count", "info": info})


def wait_until_read() -> None:
    until = time.monotonic() + LONG_S
    while time.monotonic() < until:
        try:
            if json.loads((attempt / "agent.watch.json").read_text())["output"]["offset"] >= printed:
                return
        except (OSError, ValueError, KeyError):
            pass
        time.sleep(0.01)
    sys.exit(9)


sys.stdin.read()
first = not Path(f"{task}.txt").exists()
when = os.environ.get("SAYS_ITS_ID", "late")
if when == "early":
    say(type="thread.started", thread_id=session)
if not first:
    say(type="turn.started")
    wait_until_read()  # its own rollout is not there yet
keep(type="session_meta", payload={"id": session, "cwd": os.getcwd()})
used(1000)
if not first:
    say(type="turn.started")
    wait_until_read()
if when == "late":
    say(type="thread.started", thread_id=session)
if first:
    Path(f"{task}.txt").write_text("half\n")
    used(WINDOW - 1000)
    os.utime(rollout, (time.time() + 30, time.time() + 30))
    say(type="turn.failed", error={"message": "Codex ran out of room in the model's context window."})
    sys.exit(1)
used(2000)
say(type="turn.started")
wait_until_read()
Path(f"{task}.txt").write_text("ok\n")
say(type="turn.completed", usage={"input_tokens": 2000, "output_tokens": 0})
