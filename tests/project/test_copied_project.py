"""A project knows itself: a copy of it touches nothing of the original, and one that was moved goes on."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.kit.harness import Project, kill_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WRITING = [
    ("poll",), ("dispatch",), ("dispatch", "--force"), ("run", "--quiet"), ("stop",), ("stop", "a"), ("skip", "a"),
    ("retry", "a"), ("retry", "--failed"), ("clean",), ("clean", "--force", "a"), ("approve", "--all"),
    ("plan", "rows"),
]  # fmt: skip


def cp(place: Path, copy: Path) -> None:
    subprocess.run(["cp", "-a", str(place), str(copy)], check=True)


def tar(place: Path, copy: Path) -> None:
    packed = copy.with_name("packed.tar")
    subprocess.run(["tar", "-cf", str(packed), "-C", str(place), "."], check=True)
    copy.mkdir()
    subprocess.run(["tar", "-xf", str(packed), "-C", str(copy)], check=True)


def files_alone(place: Path, copy: Path) -> None:
    shutil.copytree(place, copy, symlinks=True, copy_function=shutil.copyfile)


def facts_alone(place: Path, copy: Path) -> None:
    """Copy what `git clone` and a copy of `.agentjobs` beside it make."""
    subprocess.run(["git", "clone", "-q", str(place), str(copy)], check=True)
    for name in (".agentjobs", "agentjobs.toml", "tasks.tsv", "prompt.md.j2"):
        subprocess.run(["cp", "-a", str(place / name), str(copy / name)], check=True)


COPIES = [cp, tar, files_alone, facts_alone]


def at_work(project: Project) -> list[int]:
    """Start an agent that hangs, beside a task that is done and one that failed; return its processes."""
    project.configure(retry={"repairs": 0, "resumes": 1, "restarts": 0})
    project.plans(a="hang,ok", b="ok", c="wrong")
    project.dispatch()
    project.poll_until(lambda: project.statuses() == {"a": "IN_PROGRESS", "b": "DONE", "c": "FAILED"})
    return project.processes()


@pytest.fixture
def project(project: Project) -> Iterator[Project]:
    """A project whose agents are ended after the test."""
    yield project
    kill_all(project.processes())


def contents(place: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


@pytest.mark.sample(2)
@pytest.mark.parametrize("copied", COPIES)
def test_no_command_in_a_copy_touches_anything(project: Project, copied: Callable[[Path, Path], None]) -> None:
    running = at_work(project)
    copy = project.directory / "copy"
    copied(project.root, copy)
    before, original = contents(copy), contents(project.root)
    for command in WRITING:
        done = project.run(*command, cwd=copy, code=1)
        assert f"{copy} is a copy of the project {project.root}" in done.stderr, (command, done)
        assert len(done.stderr.splitlines()) == 1
        assert f"rm -rf {copy}/.agentjobs" in done.stderr
    assert contents(copy) == before
    assert contents(project.root) == original
    assert project.processes() == running
    assert "1 IN_PROGRESS" in project.run("status", cwd=copy, code=0).stdout
    assert "attempt 1" in project.run("show", "a", cwd=copy, code=0).stdout
    # What the message says to do works, and does not affect the original.
    shutil.rmtree(copy / ".agentjobs")
    subprocess.run(["sed", "-i", "s/hang,ok/ok/", "tasks.tsv"], cwd=copy, check=True)
    project.run("dispatch", cwd=copy, code=0)
    while project.run("poll", "--wait", "5", cwd=copy).code == 0:
        pass
    assert "a\tok\tDONE" in (copy / "tasks.tsv").read_text()
    assert project.processes() == running
    assert project.statuses()["a"] == "IN_PROGRESS"


@pytest.mark.slow
def test_a_copy_of_a_project_in_which_nothing_runs_is_a_copy_too(project: Project) -> None:
    project.plans(a="ok,text:again")
    project.settle()
    copy = project.directory / "copy"
    cp(project.root, copy)
    assert "is a copy of" in project.run("retry", "a", cwd=copy, code=1).stderr
    # Without the original it is not a copy any more: that was moved, or lost and restored.
    shutil.rmtree(project.root)
    project.root = copy
    project.run("retry", "a", code=0)
    assert project.loop().last == 2
    assert project.starts() == {"a": 2}


def test_a_copy_made_before_anything_was_dispatched_is_a_project_of_its_own(project: Project) -> None:
    project.plans(a="hang")
    project.run("check")
    copy = project.directory / "copy"
    cp(project.root, copy)
    project.dispatch()
    project.wait_for(lambda: project.ledger())
    running = project.processes()
    subprocess.run(["sed", "-i", "s/hang/ok/", "tasks.tsv"], cwd=copy, check=True)
    project.run("dispatch", cwd=copy, code=0)
    while project.run("poll", "--wait", "5", cwd=copy).code == 0:
        pass
    assert project.processes() == running


def test_facts_of_an_older_version_that_were_copied_do_not_end_the_agents_of_the_original(project: Project) -> None:
    running = at_work(project)
    (project.root / ".agentjobs/home.json").unlink()
    copy = project.directory / "copy"
    cp(project.root, copy)
    done = project.run("poll", cwd=copy, code=1)
    assert f"agents of this project run outside of {copy}" in done.stderr
    assert project.processes() == running
    assert project.poll().code == 0
    assert project.processes() == running


def test_a_copy_in_the_place_of_a_project_that_was_moved_is_told_from_it(project: Project) -> None:
    running = at_work(project)
    place, moved = project.root, project.directory / "moved"
    cp(place, project.directory / "copy")
    place.rename(moved)
    (project.directory / "copy").rename(place)
    assert "agents of this project run outside of" in project.run("poll", cwd=place, code=1).stderr
    assert project.processes() == running
    project.root = moved
    assert project.poll().code == 0, "it is the very directory that it was"
    assert project.processes() == running


def test_a_project_is_at_home_under_every_name_that_it_has(project: Project) -> None:
    running = at_work(project)
    link = project.directory / "link"
    link.symlink_to(project.root)
    assert project.run("-C", str(link), "poll", cwd=project.directory).code == 0
    assert project.run("poll", env={"PWD": str(link)}, cwd=link).code == 0
    assert project.processes() == running


def test_a_backup_that_is_put_back_in_its_place_goes_on(project: Project) -> None:
    project.plans(a="ok", b="ok")
    project.dispatch("a")
    assert project.loop().last == 2
    cp(project.root, project.directory / "backup")
    shutil.rmtree(project.root)
    cp(project.directory / "backup", project.root)
    assert project.settle() == {"a": "DONE", "b": "DONE"}
    assert project.starts() == {"a": 1, "b": 1}
    project.run("poll", cwd=project.directory / "backup", code=1)


def test_a_project_that_is_moved_while_agents_run_goes_on_in_the_same_trees(project: Project) -> None:
    project.plans(a="half,finish", b="ok")
    project.dispatch()
    project.wait_for(lambda: (project.tree("a") / "a.txt.part").exists())
    project.poll_until(lambda: project.statuses()["b"] == "DONE")
    project.root.rename(project.directory / "moved")
    project.root = project.directory / "moved"
    for pid in project.processes():
        subprocess.run(["kill", "-9", str(pid)], check=False)
    project.wait_for(lambda: not project.processes())
    assert project.settle() == {"a": "DONE", "b": "DONE"}
    assert project.outcomes("a") == ["lost", "ok"]
    assert project.starts() == {"a": 2, "b": 1}
    assert "prunable" not in project.git("worktree", "list")
    assert not list((project.root / ".agentjobs/trees").glob("*.aside-*"))
