"""Whatever an agent leaves, in whatever place it can write: that is its task's trouble, and everybody else is DONE.

The cases are generated: each place that git or agentjobs reads or writes, and each thing that can be there. One
agent does one of them. The run ends by itself, no poll fails, the tasks beside it land, and what a link leads to is
as it was. ``ALL_WRECKS=1`` tries all of them; a usual run tries some, drawn anew for each day.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import subprocess
from itertools import product
from typing import TYPE_CHECKING

import pytest

from agentjobs.disk.delete import delete, make_writable
from agentjobs.run.steps import sandbox
from tests.kit.harness import Project

if TYPE_CHECKING:
    from pathlib import Path

TROUBLE = sandbox.trouble()
bubblewrap = pytest.mark.skipif(bool(TROUBLE), reason=TROUBLE)

AGENT = """\
#!/bin/sh
cat >/dev/null
tree=$PWD admin=$(git rev-parse --absolute-git-dir) facts=$AGENTJOBS_ROOT/.agentjobs/attempts/$AGENTJOBS_TASK/001
trees=$(dirname "$PWD")
echo ok >"$AGENTJOBS_TASK.txt"
eval "$AGENTJOBS_ROW_DO"
echo '{"type":"result","is_error":false}'
"""

IN_TREE = (".gitignore", ".gitattributes", ".gitmodules", "new/.gitignore", "src", "src/a.txt", "new/.git/HEAD", ".git",
           "README", "$AGENTJOBS_TASK.txt", "new/deep")  # fmt: skip
IN_ADMIN = ("HEAD", "index", "gitdir", "commondir", "config.worktree", "logs", "logs/HEAD", "info",
            "info/sparse-checkout", "agentjobs-index", "agentjobs-placed", "agentjobs-placed~",
            "agentjobs-setup", "")  # fmt: skip
IN_FACTS = ("output.log", "agent.json", "agent.exit.json", "agent.lock", "agent.end.json", "agent.end.json~",
            "verify.log", "verify.at", "verify.lock", "verify.json", "verify.plan.json", "verify.1.check",
            "result.json~", "result.json", "handoff.md", "handoff", "../own", "prompt.md", "")  # fmt: skip
BESIDE = ("$AGENTJOBS_TASK", ".$AGENTJOBS_TASK.lock", ".$AGENTJOBS_TASK.sparse", ".$AGENTJOBS_TASK.handed",
          ".$AGENTJOBS_TASK.git", ".$AGENTJOBS_TASK.git-new")  # fmt: skip
PLACES = (
    *(f"$tree/{name}" for name in IN_TREE),
    *(f"$admin/{name}".rstrip("/") for name in IN_ADMIN),
    *(f"$facts/{name}".rstrip("/") for name in IN_FACTS),
    *(f"$trees/{name}" for name in BESIDE),
)
MAKE = 'mkdir -p "$(dirname "$p")"; '
WRECKS = {
    "fifo": MAKE + 'rm -rf "$p"; mkfifo "$p"',
    "socket": MAKE + 'rm -rf "$p"; python3 -c "import os,socket,sys; os.chdir(os.path.dirname(sys.argv[1])); '
              'socket.socket(socket.AF_UNIX).bind(os.path.basename(sys.argv[1]))" "$p"',
    "directory": MAKE + 'rm -rf "$p"; mkdir "$p"; echo x >"$p/x"',
    "link to a repository": MAKE + 'rm -rf "$p"; ln -s "$VICTIM" "$p"',
    "link to a file": MAKE + 'rm -rf "$p"; ln -s "$VICTIM/precious" "$p"',
    "link to nothing": MAKE + 'rm -rf "$p"; ln -s "$VICTIM/made" "$p"',
    "link to itself": MAKE + 'rm -rf "$p"; ln -s "$p" "$p"',
    "gone": 'rm -rf "$p"',
    "garbage": MAKE + 'rm -rf "$p"; head -c 999 /dev/urandom >"$p"',
    "empty": MAKE + 'rm -rf "$p"; : >"$p"',
    "no rights": 'chmod 000 "$p"',
    "read-only": 'chmod -R a-w "$p"',
    "repository": MAKE + 'rm -rf "$p"; git init -q "$p"',
    "very deep": 'mkdir -p "$p"; cd -P "$p" && for i in $(seq 700); do mkdir ddddddd && cd -P ddddddd || break; done',
}  # fmt: skip
ALL = [f'p="{place}"; {WRECKS[wreck]}' for place, wreck in product(PLACES, WRECKS)]
AT_ONCE = 20
KINDS = [
    pytest.param({"kind": "worktree"}, id="worktree"),
    pytest.param({"kind": "clone"}, id="clone"),
    pytest.param({"kind": "worktree", "sandbox": "bwrap"}, id="worktree+bwrap", marks=bubblewrap),
    pytest.param({"kind": "clone", "sandbox": "bwrap"}, id="clone+bwrap", marks=bubblewrap),
]


def drawn() -> list[list[str]]:
    """Return the deeds that are tried, as groups that run at once."""
    deeds = list(ALL)
    random.Random(dt.datetime.now(dt.UTC).date().toordinal()).shuffle(deeds)
    if not os.environ.get("ALL_WRECKS"):
        deeds = deeds[:AT_ONCE]
    return [deeds[at : at + AT_ONCE] for at in range(0, len(deeds), AT_ONCE)]


def state_of(victim: Path) -> dict[str, bytes]:
    """Return all files of a directory, with their contents."""
    return {str(path.relative_to(victim)): path.read_bytes() for path in victim.rglob("*") if path.is_file()}


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Return a repository of somebody else's, with work in it that is in no commit."""
    path = tmp_path / "victim"
    subprocess.run(["git", "init", "-q", str(path)], check=True)
    (path / "precious").write_text("mine\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("deeds", drawn(), ids=lambda deeds: f"{len(deeds)}")
@pytest.mark.parametrize("workspace", KINDS)
def test_what_an_agent_leaves_is_its_own_tasks_trouble(
    tmp_path: Path, victim: Path, workspace: dict[str, str], deeds: list[str]
) -> None:
    project = Project(tmp_path / "p", files={"src/a.txt": "a\n", "new/kept": "k\n"})
    agent = project.directory / "agent.sh"
    agent.write_text(AGENT)
    agent.chmod(0o755)
    project.configure(
        slots=6,
        agents={"fake": {"command": [str(agent)], "resume": None, "env": {"VICTIM": str(victim)}}},
        workspace=workspace,
        retry={"resumes": 0, "repairs": 1, "restarts": 1},
        limits={"attempt_minutes": 0.5, "verify_minutes": 0.2},
    )
    culprits = [{"id": f"c{at}", "do": deed} for at, deed in enumerate(deeds)]
    project.rows(*culprits, {"id": "b1"}, {"id": "b2"})
    before = state_of(victim)
    project.dispatch()
    looped = project.loop(timeout_s=60)
    told = "\n".join(f"{c['id']}: {c['do']}" for c in culprits)
    assert looped.last == 2, f"{looped}\n{told}\n{project.story()}"
    ends = project.statuses()
    assert (ends.pop("b1"), ends.pop("b2")) == ("DONE", "DONE"), f"{told}\n{project.story()}"
    assert set(ends.values()) <= {"DONE", "FAILED"}, f"{told}\n{project.story()}"
    assert state_of(victim) == before, told
    assert project.git("rev-parse", "--verify", "main")
    project.run("clean", "--force", code=0)
    assert state_of(victim) == before, told
    make_writable(project.root)
    delete(project.directory)  # or nothing could, where it is deep
