"""``tools/speckit.py`` of the template ``phased``: a spec-kit tasks.md becomes rows by ``plan rows``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.harness import Project

SCRIPT = Path(__file__).resolve().parents[2] / "templates" / "phased" / "tools" / "speckit.py"

TASKS = """# Tasks: Login

- [ ] no task, for want of an id

## Phase 1: Setup (Shared Infrastructure)

- [X] T001 Create project structure
- [ ] T002 [P] Configure linting in `pyproject.toml`
- [ ] T003 [P] Write README.md

## Phase 2: Foundational

- [ ] T004 Set up the database in src/db.py

<!-- - [ ] T999 a sample -->

## Phase 3: User Story 1 - Log in (Priority: P1) 🎯 MVP

### Tests for User Story 1

- [ ] T005 [P] [US1] Contract test in tests/contract/test_login.py

### Implementation

- [ ] T006 [P] [US1] User model in src/models/user.py
- [ ] T007 [US1] Service in src/services/login.py (depends on T005, T006)

## Phase 4: User Story 2 - Log out (Priority: P2)

- [ ] T008 [P] [US2] Handler in src/app/[id]/page.tsx (depends on T005-T007)

## Phase N: Polish

- [ ] T009 Docs in docs/

## Dependencies

```
- [ ] T998 an example
```
"""


def speckit(directory: Path, text: str | None) -> subprocess.CompletedProcess[str]:
    """Run the script on a file with ``text``."""
    if text is not None:
        (directory / "tasks.md").write_text(text)
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), "tasks.md"], cwd=directory, capture_output=True, text=True, check=False
    )


def rows(directory: Path, text: str) -> dict[str, dict[str, Any]]:
    done = speckit(directory, text)
    assert done.returncode == 0, done.stderr
    return {row["id"]: row for row in map(json.loads, done.stdout.splitlines())}


def planned(project: Project, *options: str) -> str:
    """Pipe the script's output into ``plan rows``."""
    printed = subprocess.run(
        [sys.executable, "-I", str(SCRIPT), "specs/001-login/tasks.md"],
        cwd=project.root, capture_output=True, check=True,
    )  # fmt: skip
    project.run("plan", "rows", *options, stdin=printed.stdout.decode(), code=0)
    return printed.stderr.decode()


def test_rows_of_a_project(tmp_path: Path) -> None:
    project = Project(tmp_path)
    place = project.root / "specs" / "001-login"
    place.mkdir(parents=True)
    (place / "tasks.md").write_text(TASKS)
    assert planned(project, "--dry-run") == "speckit: tasks: 9, phases: 5, stories: 2, done: 1\n"
    assert not (project.root / "tasks.tsv").exists()
    planned(project)
    rows = project.table()
    assert {i: row["after"] for i, row in rows.items()} == {
        "T001": "", "T002": "T001", "T003": "T001", "T004": "T002 T003", "T005": "T004", "T006": "T004",
        "T007": "T005 T006", "T008": "T004 T005 T007 T006", "T009": "T007 T008",
    }  # fmt: skip
    assert rows["T006"] | {"after": ""} == rows["T006"] | {
        "after": "", "files": "src/models/user.py", "task": "User model in src/models/user.py", "phase": "3",
        "section": "Implementation", "story": "US1", "parallel": "yes", "priority": "2", "spec": "specs/001-login",
        "phase_title": "User Story 1 - Log in (Priority: P1) 🎯 MVP", "status": "TODO",
    }  # fmt: skip
    assert {i: row["status"] for i, row in rows.items() if row["status"] != "TODO"} == {"T001": "DONE"}
    assert rows["T002"]["files"] == "pyproject.toml"
    before = (project.root / "tasks.tsv").read_bytes()
    planned(project)
    assert (project.root / "tasks.tsv").read_bytes() == before
    (place / "tasks.md").write_text(TASKS.replace("Docs in docs/", "Docs in docs/ and CHANGELOG.md"))
    planned(project)
    assert project.table()["T009"]["files"] == "docs/ CHANGELOG.md"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("# Tasks\n", "no task found"),
        ("- [ ] T001 a\n- [ ] T002 b (depends on T007)\n",
         "tasks.md:2: T002 depends on T007, which is not a task in this file"),
        ("- [ ] T001 a\n- [ ] T001 b\n", "tasks.md:2: T001 is already on line 1"),
        ("- [ ] T001 a\n- [ ] T002 b (depends on T001-T999999999999)\n", "T999999999999, which is not a task"),
        ("- [ ] T001 a (depends on T002)\n- [ ] T002 b\n", "these tasks wait for each other: T001 T002 T001"),
    ],
)  # fmt: skip
def test_errors(tmp_path: Path, text: str | None, said: str) -> None:
    done = speckit(tmp_path, text)
    assert done.returncode == 1
    assert done.stderr.startswith("speckit: tasks.md:")
    assert said in done.stderr
    assert done.stdout == ""


def test_a_range_in_the_next_sentence_is_not_a_dependency(tmp_path: Path) -> None:
    text = "- [ ] T001 a\n- [ ] T002 [P] b\n- [ ] T003 [P] c (depends on T001). Not as T001-T002\n"
    assert rows(tmp_path, text)["T003"]["after"] == ["T001"]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("Set .github/w/ci.yml, package.json and Cargo.toml.", [".github/w/ci.yml", "package.json", "Cargo.toml"]),
        ("at https://x.y/z.py do I/O, GET/POST and/or e.g. Node.js v1.2/1.3", []),
        ("Edit ../x and /etc/passwd and ~/x", []),
        ("Set up `src/` and `two words/x.py`", ["src/"]),
        ("Edit src/./a.py", ["src/a.py"]),
    ],
)  # fmt: skip
def test_paths(tmp_path: Path, text: str, paths: list[str]) -> None:
    assert rows(tmp_path, f"- [ ] T001 {text}\n")["T001"]["files"] == paths


def test_the_command_that_was_there_names_the_script(tmp_path: Path) -> None:
    found = Project(tmp_path).run("plan", "speckit", "tasks.md", code=64)
    assert "python3 tools/speckit.py TASKS.MD | agentjobs plan rows" in found.stderr
