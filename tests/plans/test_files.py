"""``plan files``: rows from a repository's imports, planned again as work lands and sources come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentjobs.model.errors import UserError
from agentjobs.plans.files import FilePlan, plan_files
from agentjobs.policy.plan_files import Planning
from agentjobs.project.project import Project as Own
from tests.kit.harness import Project

MOVE = 'for f in $AGENTJOBS_FILES; do case $f in *.js) [ ! -e "$f" ] || mv "$f" "${{f%.js}}.ts";; esac; done'
SOURCES = {
    "index.js": "require('./lib/a')\n",
    "lib/a.js": "import { b } from './b.js'\nimport('./data.json')\n",
    "lib/b.js": "export const b = 1\n",
    "lib/data.json": "{}\n",
    "test/a.js": "require('../lib/a')\n",
}
PLAN = {"include": ["*.js"], "exclude": ["test/"], "rename": {".js": ".ts"}, "one_per_file": True}


def made(directory: Path, files: dict[str, str] | None = None, **plan: Any) -> Project:
    project = Project(directory, files=SOURCES if files is None else files)
    project.configure(
        plan={**PLAN, **plan},
        profiles={"default": {"agent": "mover", "verify": ["true"]}, "other": {"agent": "mover"}},
        agents={"mover": {"command": ["sh", "-c", MOVE]}},
    )
    return project


def plan(project: Project, *paths: str, dry_run: bool = False, **settings: Any) -> FilePlan:
    found = Own(project.root)
    chosen = Planning(**{**PLAN, "co_change": 0, **settings})
    return plan_files(found, chosen, paths, dry_run=dry_run, lock_timeout_s=5)


def cells(project: Project, column: str) -> dict[str, str]:
    return {task_id: row.get(column, "") for task_id, row in project.table().items()}


def settled(project: Project, *ids: str) -> dict[str, str]:
    """Put tasks in play, run until nothing is left (one process: quicker than the loop), and return the statuses."""
    project.dispatch(*ids)
    project.run("run", code=2)
    return project.statuses()


def commit(project: Project, branch: str = "main", **files: str | None) -> None:
    """Commit files (``lib_a`` is lib/a.js; None removes it) on a branch."""
    project.git("switch", "-q", branch)
    for name, text in files.items():
        path = project.root / f"{name.replace('_', '/')}.js"
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    project.git("add", "-A")
    project.git("commit", "-q", "-m", "change")
    project.git("switch", "-q", "main")


def test_from_plan_to_done_and_again(tmp_path: Path) -> None:
    project = made(tmp_path / "p")
    said = project.run("plan", code=0)
    assert "3 files in 3 tasks, 3 waves, the widest of 1 task" in said.stderr
    assert "have no target" not in said.stderr
    rows = project.table()
    assert {i: (r["after"], r["files"], r["priority"], r["lines"]) for i, r in rows.items()} == {
        "lib.b": ("", "lib/b.js lib/b.ts", "3", "1"),
        "lib.a": ("lib.b", "lib/a.js lib/a.ts", "2", "2"),
        "index": ("lib.a", "index.js index.ts", "1", "1"),
    }
    assert set(settled(project).values()) == {"DONE"}
    assert project.landings() == ["lib.b", "lib.a", "index"]
    before = (project.root / "tasks.tsv").read_bytes()
    again = project.run("plan", code=0)
    assert "0 files in 0 tasks" in again.stderr
    assert (project.root / "tasks.tsv").read_bytes() == before

    commit(project, "agentjobs/landed", lib_a="import './c.js'\n", lib_c="import './b.js'\n")
    said = project.run("plan", code=0)
    assert "1 file changed since their task was DONE, and planned again: lib/a.js" in said.stderr
    assert "1 file whose new name is there already: lib/a.js" in said.stderr
    assert cells(project, "status") == {**dict.fromkeys(rows, "DONE"), "lib.c": "TODO", "lib.a-2": "TODO"}
    assert cells(project, "after")["lib.c"] == "lib.b", "the converted file is what it imports now"
    assert cells(project, "after")["lib.a-2"] == "lib.c"
    assert cells(project, "files")["lib.a-2"] == "lib/a.js lib/a.ts"
    assert set(settled(project).values()) == {"DONE"}
    assert project.landed("lib/c.ts") == "import './b.js'"
    assert "0 files in 0 tasks" in project.run("plan", code=0).stderr


def test_what_waits_is_made_anew_and_what_is_gone_is_skipped(tmp_path: Path) -> None:
    project = made(tmp_path / "p")
    plan(project)
    commit(project, lib_a="// nothing\n", index=None, lib_z="import './a.js'\n")
    found = plan(project)
    assert cells(project, "after") == {"lib.b": "", "lib.a": "", "index": "lib.a", "lib.z": "lib.a"}
    assert cells(project, "status")["index"] == "SKIPPED"
    assert cells(project, "note")["index"] == "plan files: its files are gone"
    assert (found.planned.added, sorted(found.planned.refreshed)) == (("lib.z",), ["lib.a", "lib.b"])
    before = (project.root / "tasks.tsv").read_bytes()
    plan(project)
    assert (project.root / "tasks.tsv").read_bytes() == before
    commit(project, index="require('./lib/z')\n")
    plan(project)
    assert cells(project, "status")["index"] == "TODO", "it is back"
    assert cells(project, "after")["index"] == "lib.z"
    plan(project, exclude=["lib/b.js"])
    assert cells(project, "note")["lib.b"] == "plan files: include and exclude leave its files out"


def test_a_running_job_keeps_what_has_begun(tmp_path: Path) -> None:
    """Statuses that planning writes are not taken for a person's wish, and may be taken back."""
    project = made(tmp_path / "p", {"a.js": "1\n", "b.js": "2\n", "c.js": "3\n"})
    plan(project)
    assert settled(project, "a") == {"a": "DONE", "b": "TODO", "c": "TODO"}
    project.edit("b", status="FAILED")
    commit(project, "agentjobs/landed", b="changed\n", c=None)
    plan(project)
    assert project.statuses() == {"a": "DONE", "b": "FAILED", "c": "SKIPPED"}
    project.poll()
    assert cells(project, "note")["c"] == "plan files: its files are gone"
    commit(project, "agentjobs/landed", c="4\n", d="5\n")
    plan(project)
    assert project.statuses() == {"a": "DONE", "b": "FAILED", "c": "TODO", "d": "TODO"}
    assert settled(project) == {"a": "DONE", "b": "FAILED", "c": "DONE", "d": "DONE"}


def test_regrouping(tmp_path: Path) -> None:
    files = {f"lib/{name}.js": "x\n" * 10 for name in "abcdef"}
    project = made(tmp_path / "p", files)
    plan(project, one_per_file=False, max_lines=30)
    assert cells(project, "lines") == {"lib": "30", "lib-2": "30"}
    assert cells(project, "files")["lib"].split()[::2] == ["lib/a.js", "lib/b.js", "lib/c.js"]
    project.edit("lib", status="DONE")
    commit(project, lib_aa="x\n" * 10)
    plan(project, one_per_file=False, max_lines=30)
    assert cells(project, "files")["lib"].split()[::2] == ["lib/a.js", "lib/b.js", "lib/c.js"]
    assert cells(project, "files")["lib-2"].split()[::2] == ["lib/aa.js", "lib/d.js", "lib/e.js"]
    assert cells(project, "files")["lib.f"] == "lib/f.js lib/f.ts"
    plan(project, one_per_file=False, max_lines=100)
    assert cells(project, "lines") == {"lib": "30", "lib-2": "40"}


def test_rows_of_people_stay_and_are_waited_for(tmp_path: Path) -> None:
    project = made(tmp_path / "p", {"a.js": "1\n", "b.js": "2\n", "c.js": "3\n"})
    project.rows({"id": "setup"}, {"id": "mine", "files": "c.js"}, columns=["status", "after", "files", "priority"])
    found = plan(project)
    assert (found.result.held, found.result.ids) == (1, ("a", "b"))
    project.edit("a", after="setup")
    project.edit("setup", after="b")
    plan(project)
    assert cells(project, "after") == {"setup": "b", "mine": "", "a": "setup", "b": ""}
    found = plan(project, one_per_file=False)
    assert project.statuses() == {"setup": "", "mine": "", "a": "TODO", "b": "SKIPPED"}
    assert found.result.stuck == (("setup", "b"),)
    project.edit("setup", after="a")
    with pytest.raises(UserError, match="wait for each other"):
        plan(project, one_per_file=False)


def test_a_row_that_waits_for_what_is_planned_is_not_waited_for(tmp_path: Path) -> None:
    project = made(tmp_path / "p", {"a.js": "require('./b')\n", "b.js": "1\n"})
    plan(project)
    project.edit("a", after="")
    project.edit("b", status="FAILED", after="a")
    plan(project)
    assert cells(project, "after") == {"b": "a", "a": ""}


def test_what_a_person_called_done_is_not_offered_again_but_what_changed_is(tmp_path: Path) -> None:
    project = made(tmp_path / "p", {"a.js": "1\n", "b.js": "2\n", "c.js": "3\n"})
    plan(project, rename={})
    first = project.git("rev-parse", "HEAD")
    project.edit("a", status="DONE")
    for name in "bc":
        project.edit(name, status="DONE")
    rows = project.table()
    project.rows(*({**row, "commit": "" if i == "a" else first} for i, row in rows.items()))
    commit(project, a="changed\n", b="changed\n")
    found = plan(project, rename={})
    assert found.again == ("b.js",)
    assert found.result.ids == ("b-2",)


def test_paths_take_a_part(tmp_path: Path) -> None:
    project = made(tmp_path / "p")
    assert plan(project, "lib").result.ids == ("lib.b", "lib.a")
    commit(project, lib_a=None, lib_b="// 1\n// 2\n")
    assert plan(project, "./index.js", "test").result.ids == ("index",)
    assert cells(project, "lines") == {"lib.b": "1", "lib.a": "2", "index": "1"}
    assert cells(project, "status") == dict.fromkeys(("lib.b", "lib.a", "index"), "TODO")
    assert plan(project, "lib/*.js", include=(), dry_run=True).planned.refreshed == ("lib.b",)
    with pytest.raises(UserError, match=r"nowhere: not in "):
        plan(project, "nowhere")
    with pytest.raises(UserError, match="no files given"):
        plan(project, include=())


def test_another_profile_plans_for_itself(tmp_path: Path) -> None:
    project = made(tmp_path / "p", {"a.js": "1\n"})
    plan(project)
    plan(project, profile="other", rename={})
    assert cells(project, "profile") == {"a": "", "a-2": "other"}
    assert cells(project, "files") == {"a": "a.js a.ts", "a-2": "a.js"}


def test_it_reads_what_tasks_start_from(tmp_path: Path) -> None:
    project = made(tmp_path / "p", {"a.js": "1\n"})
    (project.root / "new.js").write_text("not committed\n")
    project.git("add", "-N", "new.js")
    assert plan(project, dry_run=True).result.ids == ("a",)
    assert not (project.root / "tasks.tsv").exists()
    project.git("reset", "-q")
    (project.root / "new.js").unlink()
    project.git("branch", "agentjobs/landed")
    commit(project, "agentjobs/landed", b="2\n")
    commit(project, c="3\n")
    found = plan(project)
    assert found.result.ids == ("a", "b")
    assert found.behind
    assert not (project.root / "b.js").exists()


def test_history_loose_order_and_tokens(tmp_path: Path) -> None:
    project = made(tmp_path / "p", {"a.js": "require('./m')\n", "m.js": "require('./z')\n", "z.js": "1\n"})
    commit(project, a="require('./m')\n// 2\n", z="2\n")
    loose: dict[str, Any] = {"loose_order": True, "co_change": 2, "max_tokens": 1000}
    plan(project, **loose)
    assert cells(project, "after") == {"z": "", "m": "", "a": "z"}
    assert cells(project, "priority") == {"z": "3", "m": "2", "a": "1"}
    assert int(cells(project, "file_tokens")["a"]) > 4
    plan(project, **{**loose, "co_change": 3})
    assert set(cells(project, "after").values()) == {""}


def test_odd_names(tmp_path: Path) -> None:
    project = made(tmp_path / "p", {"pages/[id].js": "1\n", "a b.js": "2\n", "what?.js": "3\n", "x*.js": "4\n"})
    found = plan(project)
    assert set(found.odd) == {"what?.js", "x*.js"}
    file = Own(project.root).file
    file.load()
    files = [file.table.row(i).files for i in file.table.ids]
    assert files == [("a b.js", "a b.ts"), ("pages/[id].js", "pages/[id].ts")]


def test_jsx_gets_another_new_name_and_what_is_left_out_is_named(tmp_path: Path) -> None:
    files = {
        "view.js": "export const V = () => <p>{a}</p>\n",
        "text.js": "const a = '</p>'\n",
        "lib/config/a.js": "a()\n",
        "typed.js": "export const a = 1\n",
        "typed.d.ts": "export const a: 1\n",
    }
    project = made(tmp_path, files, exclude=["config/"])
    found = plan(project, exclude=("config/",))
    assert set(cells(project, "files").values()) == {"view.js view.tsx", "text.js text.ts"}
    assert found.excluded == ("lib/config/a.js",)
    assert found.typed == ("typed.js",)
    again = plan(project, exclude=("config/",))
    assert not again.planned.added
    assert not again.result.removed
    assert "1 file left out by exclude: lib/config/a.js" in project.run("plan", "files", "--dry-run").stderr


def test_the_command(tmp_path: Path) -> None:
    project = made(tmp_path / "p")
    said = project.run("plan", "files", "lib", "--grouped", "--dry-run", "--rename", ".js=.mts", code=0)
    assert said.lines[0] == "change\tid\tfiles\tpriority\tlines"
    assert said.lines[1].split("\t")[:2] == ["add", "lib"]
    assert said.lines[1].split("\t")[4] == "3"
    assert len(said.lines) == 2
    assert "dry run" in said.stderr
    assert project.run("plan", "files", "--rename", "js=ts").code == 64
    assert project.run("plan", "files", "--profile", "none").code == 64
    project.configure(plan=None)
    assert "Usage: agentjobs plan" in project.run("plan", code=64).stderr
    assert project.run("plan", "files").stderr.startswith("agentjobs: no files given")
