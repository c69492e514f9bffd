"""A git of ours is killed while work is merged: the task comes to the same end, in a tree that has all it needs.

Each git command of one poll is met in turn, in each of the ways a kill can meet it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.kit.harness import FAKE_AGENT, Project
from tests.kit.repositories import sh, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sample(2)

PARTS = 4
LONG = "".join(f"line {number} of a file that is longer than ulimit lets git write\n" for number in range(40))

GIT = """#!/bin/sh
# Something happens to the call whose number is in the file "at", once.
here={dir}
[ -e $here/armed ] || exec {git} "$@"
number=$(($(cat $here/number) + 1))
echo $number >$here/number
read -r at how <$here/at
[ $number = "$at" ] || exec {git} "$@"
rm $here/armed
within() {{ # the kernel kills a git that writes more than 512 bytes to a file; what is asked for one by one is less
    case "$*" in *--batch-command* | *--stdin-paths*) ;; *) (ulimit -f 1; exec {git} "$@") ;; esac
}}
after() {{ # kills $1 after a git that did its work
    victim=$1; shift
    case "$1 $*" in
        "cat-file "*--batch-command* | "update-ref "*--stdin* | "hash-object "*--stdin-paths*)
            # It lives as long as it is asked, so it is killed with its first answer, which nobody gets.
            {git} "$@" | {{ head -c 1 >$here/out; kill -KILL $victim; }} ;;
        *) {git} "$@" >$here/out 2>&1; kill -KILL $victim ;;
    esac
}}
case $how in
    "git before") kill -KILL $$ ;;
    "git within") within "$@" >$here/out 2>&1; kill -KILL $$ ;;
    "git after") after $$ "$@" ;;
    "poll before") kill -KILL $PPID ;;
    "poll and git within") kill -KILL $PPID; within "$@" ;;
    "poll after") after $PPID "$@" ;;
    "poll, git lives on") kill -KILL $PPID; until [ -e $here/polled ]; do sleep 0.01; done; exec {git} "$@" ;;
esac
"""
HOW = (
    "git before", "git within", "git after", "poll before", "poll and git within", "poll after", "poll, git lives on",
)  # fmt: skip

AGENT = 'grep -hs "^<<<<<<<" shared.txt >>"$AGENTJOBS_ROOT/../seen"; $SPOILS; echo new >new.txt; exec "$@"'
FOUND = ("by the queue", "by the checks", "by the checks, after setup ran again", "no conflict")
NEEDS = "test -e made.log && test -e local.txt"


class Scene:
    """A project whose next poll merges the work of task a onto a target that has moved, as often as one likes."""

    def __init__(self, project: Project, *, found: str) -> None:
        self.project, self.place = project, project.directory
        (project.root / "local.txt").write_text("not in git\n")
        agent = AGENT.replace("$SPOILS", "echo spoilt >made.log" if found.endswith("again") else ":")
        may_end = self.place / "setup-may-end"
        may_end.touch()
        setup = f"echo made >made.log; until [ -e {may_end} ]; do sleep 0.01; done"
        project.configure(
            workspace={"setup": setup, "copy": ["local.txt"]},
            landing={"gate": [NEEDS], "batch": 1, "approve": True},
            profiles={"default": {"verify": [NEEDS]}},
            agents={"fake": {name: ["sh", "-c", agent, "sh", sys.executable, "-IS", str(FAKE_AGENT), *more]
                             for name, more in (("command", ()), ("resume", ("--resume", "{session}")))}},
        )  # fmt: skip
        project.rows({"id": "a", "out": "shared.txt", "plan": "@go replace:ours,replace:both"})
        project.dispatch()
        project.poll_until(project.ledger)
        checks = found.startswith("by the checks")
        if checks:
            self.move_target("theirs\n")
        project.open()
        if checks:
            project.wait_for(lambda: not project.processes())
            if found.endswith("again"):
                may_end.unlink()  # or a poll on a slow machine sees its end, and goes on
                project.poll()
                may_end.touch()
                project.wait_for(lambda: not project.processes())
                assert not (project.root / ".agentjobs/attempts/a/001/verify.lock").exists()
                assert (project.root / ".agentjobs/attempts/a/001/setup-2.lock").exists()
        else:
            project.poll_until(lambda: project.statuses()["a"] == "LANDING")
            self.move_target("theirs\n" if found == "by the queue" else "nobody\n")
        project.configure(landing={"approve": False})
        subprocess.run(["cp", "-a", str(project.root), str(self.place / "saved")], check=True)
        self.ledger = project.ledger_path.read_bytes()
        write(self.place / "bin" / "git", GIT.format(dir=self.place, git=shutil.which("git")))
        (self.place / "bin" / "git").chmod(0o755)
        self.calls = 0
        self.wanted = self.play(0, "nothing")
        self.calls = int((self.place / "number").read_text())

    def move_target(self, text: str) -> None:
        """Let somebody else land a change of a long file, and of the task's."""
        root, other = self.project.root, self.place / "other"
        sh(root, "git", "worktree", "add", "-q", "-b", "agentjobs/landed", str(other), "main")
        write(other / "shared.txt", text)
        write(other / "long.txt", LONG.upper())
        sh(other, "git", "commit", "-q", "-a", "-m", "theirs")
        sh(root, "git", "worktree", "remove", str(other))

    def restore(self) -> None:
        """Put the project back as it was saved."""
        shutil.rmtree(self.project.root)
        subprocess.run(["cp", "-a", str(self.place / "saved"), str(self.project.root)], check=True)
        self.project.ledger_path.write_bytes(self.ledger)

    def play(self, at: int, how: str) -> list[str]:
        """Play the rest from the saved project, with a kill of the given call; return the outcomes of the attempts."""
        project = self.project
        self.restore()
        (self.place / "seen").write_text("")
        (self.place / "number").write_text("0\n")
        (self.place / "at").write_text(f"{at} {how}\n")
        (self.place / "polled").unlink(missing_ok=True)
        (self.place / "armed").touch()
        project.run("poll", env={"PATH": f"{self.place / 'bin'}:{os.environ['PATH']}"})
        if how == "poll, git lives on" and at:
            project.poll()
            (self.place / "polled").touch()
        (self.place / "armed").unlink(missing_ok=True)
        assert project.loop().last == 2, project.story()
        return project.outcomes("a")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    return {}


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("found", FOUND)
def test_a_killed_git_spoils_no_tree(
    scenes: dict[str, Scene], tmp_path_factory: pytest.TempPathFactory, found: str, how: str, part: int
) -> None:
    if found not in scenes:
        files = {"shared.txt": "nobody\n", "long.txt": LONG, ".gitignore": GITIGNORE}
        scenes[found] = Scene(Project(tmp_path_factory.mktemp("p"), files=files), found=found)
    scene = scenes[found]
    project, conflict = scene.project, found != "no conflict"
    assert scene.wanted == ["conflict", "ok"] if conflict else ["ok"]
    for at in range(1 + part, scene.calls + 1, PARTS):
        outcomes = scene.play(at, how)
        told = f"call {at} of {scene.calls}: {outcomes}\n{project.story()}"
        assert project.statuses() == {"a": "DONE"}, told
        assert project.landed("shared.txt") == ("ok both" if conflict else "ok ours"), told
        assert project.landed("long.txt") == LONG.upper().strip(), told
        assert project.landed("new.txt") == "new", told
        assert "<<<<<<<" in (scene.place / "seen").read_text() or not conflict, told
        if how.startswith("poll") and "lives on" not in how:  # that one acts behind the next poll
            assert outcomes == scene.wanted, told
        # An attempt whose tree git could not prepare or read is tried again; no check ever fails for that.
        assert set(outcomes) <= {"conflict", "ok", "infra", "crashed"}, told
        assert len(outcomes) <= len(scene.wanted) + 1, told
        assert project.processes() == [], told


def test_a_tree_that_is_gone_after_its_setup_ran_again_halts_nothing(tmp_path: Path) -> None:
    files = {"shared.txt": "nobody\n", "long.txt": LONG, ".gitignore": GITIGNORE}
    scene = Scene(Project(tmp_path / "p", files=files), found="by the checks, after setup ran again")
    project = scene.project
    scene.restore()
    shutil.rmtree(project.tree("a"))
    assert project.loop().last == 2, project.story()
    assert project.statuses() == {"a": "DONE"}
    assert project.outcomes("a")[0] == "infra"
    assert project.landed("new.txt") == "new"


GITIGNORE = ".agentjobs/\nagentjobs.toml\nprompt.md.j2\ntasks.tsv\n*.log\nlocal.txt\n"
