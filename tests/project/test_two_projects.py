"""Two projects in the worktrees of one repository keep their work apart."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.harness import Project

pytestmark = pytest.mark.sample(1)

NAMES = ["second", "v1.2", "with blank", "-dash"]


def beside(project: Project, name: str) -> Path:
    """Make a linked worktree with the same settings and tasks, of which the check is another."""
    place = project.directory / name
    project.git("worktree", "add", "-q", "--detach", str(place))
    for file in ("agentjobs.toml", "prompt.md.j2", "tasks.tsv"):
        (place / file).write_bytes((project.root / file).read_bytes())
    return place


def settle(project: Project, place: Path) -> None:
    project.run("dispatch", cwd=place, code=0)
    while (code := project.run("poll", "--wait", "5", cwd=place).code) == 0:
        pass
    assert code == 2


def refs(project: Project) -> dict[str, str]:
    lines = project.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/agentjobs").splitlines()
    return dict(line.split(" ") for line in lines)


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lands", [True, False])
def test_the_same_ids_in_two_worktrees_keep_two_works(project: Project, name: str, *, lands: bool) -> None:
    project.configure(landing={"enabled": lands}, retry={"repairs": 0, "resumes": 0, "restarts": 0})
    project.plans(a="text:first", b="wrong")
    second = beside(project, name)
    subprocess.run(["sed", "-i", "s/text:first/text:second/", "tasks.tsv"], cwd=second, check=True)
    project.settle()
    before = refs(project)
    names = ["a/1", "b/1"] if lands else ["a/1", "a/done", "b/1"]
    assert sorted(before) == [f"refs/agentjobs/{name}" for name in names]
    settle(project, second)
    after = refs(project)
    assert {ref: after[ref] for ref in before} == before
    others = sorted(set(after) - set(before))
    assert len(others) == len(before)
    assert all(ref.startswith("refs/agentjobs/+") for ref in others)
    assert project.git("show", f"{others[0]}:a.txt") == "ok a\nsecond"
    # What is removed in one does not affect the other.
    project.run("clean", "--force", cwd=second, code=0)
    assert project.tree("b").is_dir()
    kept = [ref for ref in refs(project) if ref.endswith("/cleaned")]
    assert len(kept) <= 1
    assert all(ref.startswith("refs/agentjobs/+") for ref in kept)
    assert {ref: refs(project)[ref] for ref in before} == before


@pytest.mark.slow
def test_both_at_once(project: Project) -> None:
    project.plans(a="sleep:0.2", b="sleep:0.2", c="sleep:0.2")
    second = beside(project, "second")
    subprocess.run(["sed", "-i", "s/sleep:0.2/text:second/", "tasks.tsv"], cwd=second, check=True)
    project.dispatch()
    project.run("dispatch", cwd=second, code=0)
    codes = [0, 0]
    while 0 in codes:
        codes = [project.run("poll", "--wait", "1", cwd=place).code for place in (project.root, second)]
    assert codes == [2, 2]
    assert set(project.statuses().values()) == {"DONE"}
