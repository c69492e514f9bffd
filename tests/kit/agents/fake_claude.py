"""Plays Claude Code: its arguments, its JSON lines, its conversations on disk. No model.

The variable CLAUDE_FAKE says what it does: ``ok`` (the work), ``nothing`` (reports success without any work),
``wrong`` (writes something else), ``forgets`` (a resumed conversation is empty), ``limit``, ``hang`` (prints one line
and stays, with a child in a separate session).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

VERSION = os.environ.get("CLAUDE_FAKE_VERSION", "2.1.329")


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


def main() -> int:
    args = sys.argv[1:]
    if args == ["--version"]:
        print(f"{VERSION} (Claude Code)")
        return 0
    options = dict(itertools.pairwise(args))
    does = os.environ.get("CLAUDE_FAKE", "ok")
    session = options.get("--resume") or options["--session-id"]
    directory = Path(os.environ["CLAUDE_CONFIG_DIR"])
    directory.mkdir(parents=True, exist_ok=True)
    kept = directory / f"{session}.jsonl"
    if "--resume" in options and not kept.exists():
        print(f"No conversation found with session ID: {session}", file=sys.stderr)
        return 1
    prompt = sys.stdin.read()
    with kept.open("a") as file:
        file.write(json.dumps(prompt) + "\n")
    said = [prompt] if does == "forgets" else [json.loads(line) for line in kept.read_text().splitlines()]
    say(type="system", subtype="init", session_id=session, model=options.get("--model", "claude-sonnet-4-5"))
    if does == "hang":
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        (directory / "pids~").write_text(f"{os.getpid()} {child.pid}")
        (directory / "pids~").rename(directory / "pids")
        time.sleep(600)
    if does == "limit":
        limit = {"status": "rejected", "resetsAt": int(time.time()) + 3600}
        say(type="rate_limit_event", rate_limit_info=limit, session_id=session)
        say(type="result", subtype="success", is_error=True, api_error="usage_limit_reached", session_id=session,
            result="You've hit your 5-hour limit")  # fmt: skip
        return 1
    write(prompt, "\n".join(said), does)
    usage = {"input_tokens": 300 + len(said), "cache_read_input_tokens": 20, "output_tokens": 40}
    used = {"inputTokens": 300 + len(said), "cacheReadInputTokens": 20, "outputTokens": 40, "costUSD": 0.0125}
    say(type="result", subtype="success", is_error=False, session_id=session, result="Done.", usage=usage,
        uuid=f"{session}-{len(said)}", model_usage_since_last_result={"claude-sonnet-4-5": used})  # fmt: skip
    return 0


def write(prompt: str, conversation: str, does: str) -> None:
    """Do as a model would that reads all of the conversation."""
    if does == "nothing":
        return
    if "You were interrupted" in prompt:
        word = re.search(r"in mind the word `(\w+)`", conversation)
        if word:
            Path("resumed.txt").write_text(f"{word[1]}\n")
        return
    line = re.search(r"Its only line is:\s+(.+)", prompt)
    assert line, prompt
    Path("hello.txt").write_text("something else\n" if does == "wrong" else f"{line[1].strip()}\n")


sys.exit(main())
