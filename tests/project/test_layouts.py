"""Projects on disk as older versions left them: this version reads them, and brings them to their end.

``tests/fixtures/layouts/<version>`` holds one project in the middle of its work: tasks that are done, failed, waiting
for another task, for the end of a limit or for approval, one in a gate run, one in a review and one at work whose
processes died with their machine, and a phase that has planned its rows. Paths of the machine are placeholders there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.harness import AGENTS, Project

LAYOUTS = Path(__file__).parents[1] / "fixtures" / "layouts"


def restored(directory: Path, version: str) -> Project:
    """Make the project of a version again: its repository, its work trees, its files."""
    given = json.loads((LAYOUTS / version / "project.json").read_text())
    project = Project(directory)
    shutil.rmtree(project.root)
    project.root.mkdir()
    project.git("init", "-q", "-b", "main", ".")
    history = (LAYOUTS / version / "repository.txt").read_bytes()
    subprocess.run(["git", "fast-import", "--quiet"], cwd=project.root, input=history, env=project.env, check=True)
    project.git("reset", "-q", "--hard")
    for tree, commit in given["trees"].items():
        project.git("worktree", "add", "-q", "--detach", tree, commit)
    for ref in project.git("for-each-ref", "--format=%(refname)", "refs/fixture").split():
        project.git("update-ref", "-d", ref)
    places = {"DIRECTORY": str(directory), "AGENTS": str(AGENTS), "PYTHON": sys.executable}
    for name, text in given["files"].items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for word, place in places.items():
            text = text.replace("{{" + word + "}}", place)  # noqa: PLW2901
        path.write_text(text)
    return project


@pytest.mark.parametrize("version", ["0.1"])
def test_a_project_of_an_older_version_comes_to_its_end(tmp_path: Path, version: str) -> None:
    p = restored(tmp_path, version)
    before = p.table()
    status = p.run("status", code=0).stdout
    assert "10 tasks: 2 TODO, 1 IN_PROGRESS, 1 REVIEWING, 4 LANDING, 1 DONE, 1 FAILED" in status
    assert "other: limit: limited: Error: usage limit reached, resets in 1 hour" in status
    for task_id in before:
        assert task_id in p.run("show", task_id, code=0).stdout
    p.run("check", code=0)
    assert p.table() == before, "to look changes nothing"

    p.skip_pause()
    p.open("go")
    for ready in ("waits judged passed noted lost limited", "after"):
        assert p.loop().last == 3, "verified work waits for a person"
        assert {task_id for task_id, status in p.statuses().items() if status == "LANDING"} == set(ready.split())
        p.run("approve", "--all", code=0)
    assert p.loop().last == 2
    assert p.statuses() == {**dict.fromkeys(before, "DONE"), "failed": "FAILED"}
    assert sorted(p.landings()) == sorted(set(before) - {"failed"})
    assert p.outcomes("lost") == ["lost", "ok"]
    assert p.outcomes("limited") == ["limit", "ok"]
    assert p.outcomes("judged") == ["ok"]
    assert p.modes("lost") == ["first", "resume"], "its half file is still there"
