"""The agent of this job without a model: finds some real, simple mistakes, and judges findings by the lines they quote.

Its row says what to do (AGENTJOBS_ROW_PROFILE: review or evaluate). The same source gives the same findings.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

import javascript
import python
from check import misquoted

if TYPE_CHECKING:
    from collections.abc import Iterator

WANTED = re.compile(r"noqa|nosec|pragma|eslint-disable|type: ignore|@ts-expect-error", re.IGNORECASE)
"""Marks of a line that somebody wrote this way on purpose."""


def review(docs: list[str]) -> dict:
    """Return a segment: the findings in these files."""
    findings, lines_read, unread = [], 0, []
    for path in docs:
        try:
            with tokenize.open(path) if path.endswith(".py") else open(path, encoding="utf-8") as file:  # noqa: PTH123
                text = file.read()
            found = sorted(set(python.mistakes(text) if path.endswith(".py") else javascript.mistakes(text)))
        except (SyntaxError, UnicodeDecodeError) as error:
            unread.append(f"{path}: {error}")
            continue
        lines = text.splitlines()
        lines_read += len(lines)
        for line, severity, title, trigger, impact in found:
            code = lines[line - 1].strip()
            findings.append({"file": path, "line": line, "severity": severity, "title": title, "trigger": trigger,
                             "impact": impact, "code": code})  # fmt: skip
    summary = f"{len(docs)} files, {lines_read} lines, {len(findings)} findings of simple rules."
    summary += "".join(f" Not read: {what}." for what in unread)
    return {"module": os.environ["AGENTJOBS_ROW_MODULE"], "summary": summary, "findings": findings}


def evaluate(segment: str) -> dict:
    """Return which findings of a segment are real, by the lines they name."""
    kept: list[dict] = []
    dropped: list[dict] = []
    for at, finding in enumerate(json.loads(Path(segment).read_text(encoding="utf-8"))["findings"]):
        why = next(doubts(finding), "")
        if why:
            dropped.append({"finding": at, "reason": why})
        else:
            kept.append({"finding": at, "severity": finding["severity"]})
    return {"segment": segment, "kept": kept, "dropped": dropped}


def doubts(finding: dict) -> Iterator[str]:
    """Yield the reasons why a finding is wrong, the clearest first."""
    if why := misquoted(finding):
        yield why
        return
    if mark := WANTED.search(finding["code"]):
        yield f"the line is marked as intended: {mark[0]}"
    text = Path(finding["file"]).read_text(encoding="utf-8", errors="replace")
    quiet = python.quoted(text) if finding["file"].endswith(".py") else javascript.quoted(text)
    if finding["line"] in quiet:
        yield "that line is inside a string, and never run"


def main() -> int:
    """Write the row's output; return the exit code."""
    if os.environ.get("AGENTJOBS_ROW_PROFILE") == "evaluate":
        found = evaluate(os.environ["AGENTJOBS_ROW_SEGMENT"])
        said = f"{len(found['kept'])} kept, {len(found['dropped'])} dropped"
    else:
        found = review(shlex.split(os.environ["AGENTJOBS_ROW_DOCS"]))
        said = found["summary"]
    output = Path(os.environ["AGENTJOBS_ROW_OUTPUT"])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
