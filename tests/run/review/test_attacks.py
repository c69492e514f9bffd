"""Reviewers that write nonsense, or spoil what git knows of the tree: their own failure, and nobody else's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.run.review.test_reviewers import reviewed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.harness import Project


pytestmark = pytest.mark.sample(1)

def judged_by(directory: Path, script: str) -> Project:
    """Make a project with one task, judged by a shell script."""
    p = reviewed(directory)
    path = directory / "reviewer.sh"
    path.write_text(f"cat >/dev/null\n{script}\necho '{{\"type\": \"result\", \"is_error\": false}}'\n")
    p.configure(agents={"a-critic": {"command": ["sh", str(path)]}})
    p.rows({"id": "a"})
    return p


def finding(**more: object) -> str:
    one = {"file": "a.txt", "line": 1, "severity": "low", "trigger": "t", "impact": "i", **more}
    return f"cat >\"$AGENTJOBS_VERDICT\" <<'END'\n{json.dumps({'findings': [one]})}\nEND"


def test_a_file_of_a_finding_that_no_system_call_takes_is_none(tmp_path: Path) -> None:
    p = judged_by(tmp_path, finding(file="a" * 200_000))
    p.dispatch()
    looped = p.loop()
    assert looped.last == 3, looped
    assert "reviewers gave no verdict on a" in looped.stderr
    assert "Raise the limit" not in looped.stderr
    assert "neither in the change nor in the tree" in p.attempts("a")[0]["review-1.end"]["detail"]


@pytest.mark.parametrize("line", [3.0, 10**30])
def test_a_line_that_the_schema_takes_can_be_used(tmp_path: Path, line: float) -> None:
    p = judged_by(tmp_path, finding(line=line))
    assert p.settle() == {"a": "DONE"}
    assert p.attempts("a")[0]["review-1.end"]["findings"][0]["line"] == int(line)


SPOILT = {
    "not readable": "echo junk >$g/index; echo junk >$g/HEAD; echo junk >$g/commondir",
    "gone": "rm -rf $g",
    "another's": "rm -f $g/HEAD; mkdir $g/HEAD; echo x >$g/gitdir",
}


@pytest.mark.parametrize("kind", SPOILT)
def test_what_git_knows_of_the_tree_is_made_again(tmp_path: Path, kind: str) -> None:
    spoil = f"g=$(git rev-parse --git-dir)\n{SPOILT[kind]}\nprintf '{{\"findings\": []}}' >\"$AGENTJOBS_VERDICT\""
    p = judged_by(tmp_path, spoil)
    assert p.settle() == {"a": "DONE"}
    assert p.landed("a.txt") == "ok a"
    assert p.attempts("a")[0]["review-1.end"]["touched"] == [".git"]
