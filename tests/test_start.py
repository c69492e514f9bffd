"""The guide for newcomers works: every command of docs/start.md is run in a shell repository and an empty home."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.test_readme import ROOT, Shell, matches, session_of

if TYPE_CHECKING:
    from pathlib import Path

GUIDE = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")


def blocks() -> list[tuple[str, str]]:
    """Return the blocks that a reader types, in order, each with its kind; ``text`` blocks are only to be read."""
    found = re.findall(r"^```(sh|console|toml)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    assert {kind for kind, _ in found} == {"sh", "console", "toml"}
    return found


def edited(path: Path, block: str) -> None:
    """Change those lines of agentjobs.toml that the block shows."""
    text = path.read_text()
    for line in block.splitlines():
        key = line.partition(" = ")[0]
        text, count = re.subn(rf"^{key} = .*$", lambda _, line=line: line, text, count=1, flags=re.MULTILINE)  # type: ignore[misc]
        assert count, f"agentjobs.toml of `init` has no line {key}"
    path.write_text(text)


def test_every_step_works(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for kind, block in blocks():
        if kind == "toml":
            edited(shell.root / "agentjobs.toml", block)
            continue
        if kind == "sh":
            shell.run(block)
            if "cd greetings" in block:
                shell.root /= "greetings"
            continue
        for command, told in session_of(block):
            said = shell.run(command)
            assert matches(told, said), f"docs/start.md: {command} printed:\n{said}"
    assert shell.run("git diff --stat main agentjobs/landed") == ""


def test_a_step_that_can_fail_says_what_to_do() -> None:
    steps = re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]
    numbered = [step for step in steps if re.match(r"\d+\. ", step)]
    assert len(numbered) == 10
    assert sum("*If it fails:*" in step for step in numbered) >= 7
