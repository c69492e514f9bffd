"""sandbox = "bwrap": what an agent may write, see and leave behind, with real bubblewrap where it can run."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentjobs.launch.launcher import alive
from agentjobs.run.steps import sandbox
from agentjobs.workspace.bubblewrap import FLAGS, View, wrapped
from tests.kit.harness import SILENT, Project

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.sample(1)

TROUBLE = sandbox.trouble()
bubblewrap = pytest.mark.skipif(bool(TROUBLE), reason=TROUBLE)

PROBE = """\
#!/bin/sh
cat >/dev/null
cd {cwd}
{deed}
echo '{{"type":"result","is_error":false}}'
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project whose steps run in a sandbox, with a separate HOME."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = Project(tmp_path, settings={"workspace": {"sandbox": "bwrap"}})
    (tmp_path / "home" / ".agent").mkdir(parents=True)
    (tmp_path / "results").mkdir()
    return found


def use(project: Project, deed: str, **workspace: Any) -> None:
    """Make the agent do ``deed`` in its tree; it may write ``results`` and its own configuration."""
    path = project.directory / "agent.sh"
    path.write_text(PROBE.format(deed=deed, cwd="."))
    path.chmod(0o755)
    project.configure(
        agents={"fake": {"command": [str(path)], "resume": None}},
        workspace={"writable": [str(project.directory / "results")], **workspace},
    )


TRY = """\
r={directory}/results
try() {{ name=$1; shift; if "$@" >$r/$name.said 2>&1; then echo yes >$r/$name; else echo no >$r/$name; fi; }}
put() {{ echo x >"$1"; }}
"""


def answers(project: Project, deed: str, **workspace: Any) -> dict[str, str]:
    """Let one agent try things (``try NAME COMMAND``), and return which of them worked."""
    use(project, TRY.format(directory=project.directory) + deed + "\necho ok >a.txt", **workspace)
    project.plans(a="")
    assert project.settle() == {"a": "DONE"}, project.story()
    results = project.directory / "results"
    return {path.name: path.read_text().strip() for path in results.iterdir() if path.suffix != ".said"}


# --- the command line (pure) ------------------------------------------------------------------------------


def mounted(view: View) -> list[tuple[str, ...]]:
    """Return what is mounted, in order, without what every sandbox has."""
    words = wrapped(["true"], view, "/tree")
    assert words[: 1 + len(FLAGS)] == ("bwrap", *FLAGS)
    assert words[-4:] == ("--chdir", "/tree", "--", "true")
    found, at, own = [], 0, words[1 + len(FLAGS) : -4]
    while at < len(own):
        size = 2 if own[at] in {"--tmpfs", "--remount-ro"} else 3
        found.append(own[at : at + size])
        at += size
    return found


def test_what_lies_deeper_is_mounted_later() -> None:
    view = View(
        private=("/tmp",),
        guarded=("/p", "/p/.git"),
        writable=("/p/.agentjobs/trees/a", "/p/.git/objects", "/h/.agent"),
        hidden=("/p/.agentjobs",),
        fixed=("/p/.agentjobs/trees/a/fact",),
    )
    assert mounted(view) == [
        ("--tmpfs", "/tmp"),
        ("--ro-bind", "/p", "/p"),
        ("--ro-bind", "/p/.git", "/p/.git"),
        ("--bind", "/h/.agent", "/h/.agent"),
        ("--tmpfs", "/p/.agentjobs"),
        ("--bind", "/p/.git/objects", "/p/.git/objects"),
        ("--bind", "/p/.agentjobs/trees/a", "/p/.agentjobs/trees/a"),
        ("--ro-bind", "/p/.agentjobs/trees/a/fact", "/p/.agentjobs/trees/a/fact"),
        ("--remount-ro", "/p/.agentjobs"),
    ]


def test_what_is_needed_is_mounted_only_where_it_would_be_hidden() -> None:
    view = View(
        private=("/tmp",),
        guarded=("/tmp/p",),
        writable=("/tmp/home/.agent",),
        hidden=("/tmp/p/.agentjobs",),
        needed=("/", "/usr/bin", "/tmp", "/tmp/home", "/tmp/home/.agent/bin", "/tmp/p/bin", "/tmp/p/.agentjobs/x"),
    )
    assert [words for words in mounted(view) if words[0] == "--ro-bind"] == [
        ("--ro-bind", "/tmp/p", "/tmp/p"),
        ("--ro-bind", "/tmp/home", "/tmp/home"),
    ]


@pytest.mark.parametrize(
    ("view", "last"),
    [
        (View(private=("/tmp",), writable=("/tmp",)), ("--bind", "/tmp", "/tmp")),
        (View(guarded=("/p",), writable=("/p",)), ("--bind", "/p", "/p")),
        (View(writable=("/p",), hidden=("/p",)), ("--remount-ro", "/p")),
        (View(writable=("/p",), fixed=("/p",)), ("--ro-bind", "/p", "/p")),
    ],
    ids=["writable over private", "writable over guarded", "hidden over writable", "fixed over writable"],
)
def test_one_path_in_two_roles(view: View, last: tuple[str, ...]) -> None:
    assert mounted(view)[-1] == last


# --- the files --------------------------------------------------------------------------------------------


@bubblewrap
def test_nothing_outside_can_be_written(project: Project) -> None:
    home = project.directory / "home"
    found = answers(
        project,
        f"""\
try root put {project.root}/meddled
try table put {project.root}/tasks.tsv
try policy put {project.root}/agentjobs.toml
try home put {home}/meddled
try etc put /etc/agentjobs-meddled
try kernel put /proc/sys/kernel/domainname
try facts put {project.root}/.agentjobs/meddled
try own_facts put {project.root}/.agentjobs/attempts/a/001/agent.exit.json
try prompt put $AGENTJOBS_PROMPT
try beside put ../meddled
try tree put mine
try deep mkdir -p some/where
try config put {home}/.agent/session
try tmp put /tmp/mine
try temporary mktemp
try prompted cat $AGENTJOBS_PROMPT
try handoff put $AGENTJOBS_HANDOFF
""",
        writable=[str(project.directory / "results"), "~/.agent"],
    )
    allowed = {name for name, answer in found.items() if answer == "yes"}
    assert allowed == {"tree", "deep", "config", "tmp", "temporary", "prompted", "handoff"}, found
    assert (home / ".agent" / "session").read_text() == "x\n"
    assert not Path("/tmp/mine").exists()
    for place in (project.root, home, project.root / ".agentjobs", project.tree("a").parent):
        assert not (place / "meddled").exists()
    assert project.landed("mine") == "x"


@bubblewrap
def test_other_tasks_and_the_facts_are_not_to_be_seen(project: Project) -> None:
    (project.directory / "agent.sh").touch()
    use(
        project,
        f"""\
r={project.directory}/results
ls -A {project.root}/.agentjobs >$r/$AGENTJOBS_TASK.facts
ls -A {project.root}/.agentjobs/trees >$r/$AGENTJOBS_TASK.trees
ls -A {project.root}/.git/worktrees >$r/$AGENTJOBS_TASK.worktrees
ls -A /proc | grep -c '^[0-9]' >$r/$AGENTJOBS_TASK.processes
touch $r/$AGENTJOBS_TASK.there
until [ -e $r/a.there ] && [ -e $r/b.there ]; do sleep 0.01; done
echo ok >$AGENTJOBS_TASK.txt
""",
    )
    project.plans(a="", b="")
    assert project.settle() == {"a": "DONE", "b": "DONE"}, project.story()
    for name in ("a", "b"):
        found = {path.suffix: path.read_text().split() for path in (project.directory / "results").glob(f"{name}.*")}
        assert found[".facts"] == ["attempts", "trees"]
        assert found[".trees"] == [name]
        assert found[".worktrees"] == [name]
        assert int(found[".processes"][0]) < 8, "only its own processes"


@bubblewrap
def test_git_works_in_the_tree_and_moves_no_branch(project: Project) -> None:
    identity = "-c user.name=Agent -c user.email=agent@example.org"
    before = project.git("rev-parse", "main")
    found = answers(
        project,
        f"""\
echo one >one.txt
try status git status --porcelain
try add git add -A
try commit git {identity} commit -qm one
echo two >one.txt
try amend git {identity} commit -qa --amend -m two
try log git log --oneline
try reset git reset -q --soft HEAD
try main git update-ref refs/heads/main HEAD
try target git update-ref refs/heads/agentjobs/landed HEAD
try branch git branch mine
try packed git pack-refs --all
try config git config core.editor true
try hook put $(git rev-parse --git-common-dir)/hooks/pre-commit
try filter put $(git rev-parse --git-dir)/config.worktree
try common put $(git rev-parse --git-dir)/commondir
try swap mv $(git rev-parse --git-dir)/commondir /tmp/x
""",
    )
    works = {"status", "add", "commit", "amend", "log", "reset"}
    assert {name for name, answer in found.items() if answer == "yes"} == works, found
    assert project.git("rev-parse", "main") == before
    assert project.landed("one.txt") == "two"
    assert "one.txt" in (project.directory / "results" / "status.said").read_text()
    assert project.git("fsck", "--no-dangling") == ""


@bubblewrap
def test_an_agent_that_writes_outside_fails(project: Project) -> None:
    """The word `main` of the scripted agent: it edits the project's own directory, and dies of it."""
    project.configure(
        workspace={"writable": [str(project.ledger_path)]}, retry={"resumes": 0, "repairs": 0, "restarts": 0}
    )
    project.plans(a="main", b="ok")
    assert project.settle() == {"a": "FAILED", "b": "DONE"}, project.story()
    assert b"Read-only file system" in project.log("a", 1)
    assert not (project.root / "a.txt").exists()


@bubblewrap
def test_a_path_to_write_is_made_and_variables_are_filled_in(project: Project) -> None:
    home = project.directory / "home"
    found = answers(
        project,
        f"""\
try default put {home}/.other/file
try json grep -q '{{}}' {home}/.made.json
try named put {project.root}/out/file
""",
        writable=[
            str(project.directory / "results"),
            "${NOT_THERE:-~/.other}", "${NOT_THERE}", "~/.made.json", "out",
        ],
    )  # fmt: skip
    assert found == dict.fromkeys(["default", "json", "named"], "yes")
    assert (home / ".other" / "file").exists()
    assert (project.root / "out" / "file").exists()


@bubblewrap
def test_what_the_agent_keeps_is_its_own_and_no_matter_of_checks(project: Project) -> None:
    """Its configuration, and ``{dir}``, which is there again in the next attempt."""
    home = project.directory / "home"
    use(
        project,
        f"""\
echo $AGENTJOBS_ATTEMPT >>"$1/sessions"; echo x >>{home}/.agent/config
[ $AGENTJOBS_ATTEMPT = 2 ] && echo ok >a.txt
cp "$1/sessions" copied
""",
    )
    command = [str(project.directory / "agent.sh"), "{dir}"]
    project.configure(
        agents={"fake": {"command": command, "writable": ["~/.agent"]}},
        profiles={"default": {"verify": [f"! echo x >{home}/.agent/meddled && test -e a.txt"], "scope": "any"}},
    )
    project.plans(a="")
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.landed("copied") == "1\n2"
    assert (home / ".agent" / "config").read_text() == "x\nx\n"
    assert not (home / ".agent" / "meddled").exists()


@bubblewrap
def test_the_next_task_gets_the_handoff(project: Project) -> None:
    (project.root / "prompt.md.j2").write_text(
        "{{ id }}{% for h in handoffs %} [{{ h.id }}: {{ h.text }}]{% endfor %}\n"
    )
    project.configure(workspace={"writable": [str(project.ledger_path)]})
    project.rows({"id": "first", "plan": "handoff:hello"}, {"id": "second", "after": "first", "plan": "ok"})
    assert project.settle() == {"first": "DONE", "second": "DONE"}, project.story()
    assert project.prompt("second", 1) == "second [first: hello from first]\n"


@bubblewrap
def test_a_handoff_that_is_a_link_is_not_followed(project: Project) -> None:
    (project.root / "prompt.md.j2").write_text("{{ id }}{% for h in handoffs %} [{{ h.text }}]{% endfor %}\n")
    secret = project.root / ".agentjobs" / "README"
    use(project, f'ln -s {secret} "$AGENTJOBS_HANDOFF"; echo ok >"$AGENTJOBS_TASK.txt"')
    project.rows({"id": "first"}, {"id": "second", "after": "first"})
    assert project.settle() == {"first": "DONE", "second": "DONE"}, project.story()
    told = project.prompt("second", 1)
    assert told.startswith("second [(derived from the diff: the agent left no handoff)")
    assert secret.read_text()[:40] not in told


@bubblewrap
def test_what_is_linked_into_the_tree_can_be_read_only(project: Project) -> None:
    data = project.root / "node_modules"
    data.mkdir()
    (data / "m.js").write_text("m\n")
    (project.root / ".git" / "info" / "exclude").write_text("node_modules\n")
    found = answers(project, "try read cat node_modules/m.js\ntry write put node_modules/n.js", link=["node_modules"])
    assert found == {"read": "yes", "write": "no"}


# --- checks, gates, set-up --------------------------------------------------------------------------------


@bubblewrap
@pytest.mark.parametrize("batch", [1, 16])
def test_every_step_is_confined(project: Project, batch: int) -> None:
    """A check runs what the agent wrote: it may write its tree, and no more than that."""
    root = project.root
    deed = f"echo x >mine.log && ! echo x >{root}/meddled && ! ls {root}/.agentjobs/attempts/*/*/*.json"
    (root / ".git" / "info" / "exclude").write_text("*.log\n")
    use(project, 'echo ok >"$AGENTJOBS_TASK.txt"', setup=deed)
    together = [f"echo first >/tmp/said; {deed}", "grep first /tmp/said"]
    project.configure(
        profiles={"default": {"verify": together, "baseline": "green"}},
        landing={"gate": [deed], "batch": batch, "wait_s": 0},
    )
    project.plans(a="", b="")
    assert project.run("check", "--baseline").code == 1, "each check of the baseline is alone"
    project.configure(profiles={"default": {"verify": [deed]}})
    assert "green" in project.run("check", "--baseline", code=0).stdout
    project.configure(profiles={"default": {"verify": together, "baseline": "any"}})
    assert project.settle() == {"a": "DONE", "b": "DONE"}, project.story()
    assert not (root / "meddled").exists()


@bubblewrap
def test_the_check_that_failed_is_still_known(project: Project) -> None:
    use(project, "echo ok >a.txt")
    project.configure(
        profiles={"default": {"verify": ["true", "echo no; false", "true"]}},
        retry={"resumes": 0, "repairs": 0, "restarts": 0},
    )
    project.plans(a="")
    assert project.settle() == {"a": "FAILED"}
    assert project.attempts("a")[0]["result"]["detail"] == "check 2 failed (exit 1): echo no; false"


@bubblewrap
def test_without_trees_the_project_can_be_read_only(project: Project) -> None:
    use(project, f"echo x >out/$AGENTJOBS_TASK; ! echo x >{project.root}/meddled", kind="none", writable=["out"])
    project.configure(profiles={"default": {"verify": ['test -e "out/$AGENTJOBS_TASK"'], "require_change": False}})
    project.plans(a="", b="")
    assert project.settle() == {"a": "DONE", "b": "DONE"}, project.story()
    assert (project.root / "out" / "a").exists()


# --- processes --------------------------------------------------------------------------------------------


def marked(project: Project) -> list[int]:
    """Return the processes that carry the marker of an attempt of ``a``."""
    return alive([facts["attempt"]["marker"] for facts in project.attempts("a")])


@pytest.mark.sample(2)
@bubblewrap
@pytest.mark.parametrize("word", ["server", "crash-server,ok", "stubborn,ok", "linger,ok"])
def test_a_daemon_in_a_session_of_its_own_is_gone(project: Project, word: str) -> None:
    project.configure(
        workspace={"writable": [str(project.ledger_path)]},
        limits={"attempt_minutes": SILENT},
    )
    project.plans(a=word)
    assert project.settle() == {"a": "DONE"}, project.story()
    assert marked(project) == []


@bubblewrap
def test_a_daemon_is_seen_from_outside_and_killed_with_its_runner(project: Project) -> None:
    project.configure(workspace={"writable": [str(project.ledger_path)]})
    project.plans(a="stubborn,ok")
    project.dispatch()
    project.wait_for(lambda: project.ledger() and len(marked(project)) >= 4, what="the agent and its child are seen")
    record = json.loads((project.root / ".agentjobs/attempts/a/001/agent.json").read_text())
    os.kill(record["pid"], 9)
    assert project.loop().last == 2
    assert project.outcomes("a") == ["lost", "ok"], project.story()
    assert marked(project) == []


@bubblewrap
def test_a_polite_signal_reaches_the_agent_and_not_the_sandbox(project: Project) -> None:
    use(
        project,
        f"""\
if [ $AGENTJOBS_ATTEMPT = 1 ]; then
    trap 'sleep 0.3; echo wound up >{project.directory}/results/end; exit 1' TERM
    touch {project.directory}/results/ready
    while :; do sleep 0.02; done
fi
echo ok >a.txt
""",
    )
    project.configure(limits={"stop_grace_s": 60})
    project.plans(a="")
    project.dispatch()
    project.wait_for((project.directory / "results" / "ready").exists)
    project.run("stop", code=0)
    assert (project.directory / "results" / "end").read_text() == "wound up\n"
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.outcomes("a") == ["stopped", "ok"]


@bubblewrap
def test_the_exit_code_is_the_agents(project: Project) -> None:
    project.configure(workspace={"writable": [str(project.ledger_path)]})
    project.plans(a="segv,ok")
    assert project.settle() == {"a": "DONE"}, project.story()
    assert project.attempts("a")[0]["agent.exit"]["code"] == 128 + 11


# --- where it cannot be had -------------------------------------------------------------------------------


def without_bubblewrap(project: Project, program: str | None) -> Mapping[str, str]:
    """Return an environment in which bwrap is missing, or is ``program`` (a shell script)."""
    tools = project.directory / "tools"
    tools.mkdir()
    for name in ("git", "sh"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    if program is not None:
        (tools / "bwrap").write_text(f"#!/bin/sh\n{program}\n")
        (tools / "bwrap").chmod(0o755)
    return {"PATH": str(tools)}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is never there")
@pytest.mark.parametrize(
    ("program", "said"),
    [
        (None, "there is no bwrap on PATH; install bubblewrap"),
        ('echo "bwrap: No permissions to create a new namespace" >&2; exit 1',
         "bubblewrap cannot make a sandbox here: bwrap: No permissions to create a new namespace"),
    ],
    ids=["missing", "forbidden"],
)  # fmt: skip
def test_one_clear_line_where_it_cannot_be_had(project: Project, program: str | None, said: str) -> None:
    env = without_bubblewrap(project, program)
    line = (project.root / "agentjobs.toml").read_text().splitlines().index('sandbox = "bwrap"') + 1
    want = f'agentjobs: agentjobs.toml:{line}: sandbox = "bwrap" does not work here: {said}, or set sandbox = "none"\n'
    project.plans(a="ok")
    assert project.run("dispatch", env=env, code=1).stderr == want
    assert want in project.run("check", env=env, code=1).stderr
    assert project.starts() == {}


@bubblewrap
def test_a_sandbox_that_cannot_be_made_is_no_crash_of_the_agent(project: Project) -> None:
    """Found when the step starts: the machine's fault, for which no attempt is spent."""
    use(project, "echo ok >a.txt")
    project.plans(a="")
    tools = project.directory / "tools"
    tools.mkdir()
    real = shutil.which("bwrap")
    (tools / "bwrap").write_text(
        f'#!/bin/sh\n[ -e {project.directory}/broken ] && case "$*" in *agent.sh*) echo bwrap: no >&2; exit 1;; esac\n'
        f'exec {real} "$@"\n'
    )
    (tools / "bwrap").chmod(0o755)
    (project.directory / "broken").touch()
    env = {"PATH": f"{tools}:{os.environ['PATH']}"}
    project.run("dispatch", env=env, code=0)
    project.wait_for(lambda: project.run("poll", env=env).code or project.outcomes("a")[0] != "open")
    assert project.outcomes("a")[0] == "infra", project.story()
    assert "bwrap: no" in project.attempts("a")[0]["result"]["detail"]


@pytest.mark.parametrize("path", ["/", "", "..", "a/../b", ".agentjobs", ".agentjobs/trees", "~/../x"])
def test_what_no_step_may_write(project: Project, path: str) -> None:
    project.configure(workspace={"writable": [path]})
    project.plans(a="ok")
    done = project.run("check", code=1)
    assert f"{path!r} cannot be writable for steps" in done.stderr
