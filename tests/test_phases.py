"""Phases with real processes: planned once, in order, whatever is killed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from tests.harness import Project

if TYPE_CHECKING:
    from pathlib import Path

PLAN = """\
echo "$AGENTJOBS_PHASE after ${AGENTJOBS_PHASE_BEFORE:-nothing} missing $AGENTJOBS_MISSING" >>../plans
cat >"../stdin.$AGENTJOBS_PHASE"
"""


def pipeline(directory: Path, **phases: dict[str, Any]) -> Project:
    """Make a project without trees, with these phases; each says what it plans in ``rows``."""
    project = Project(directory)
    profiles = {}
    for name, given in phases.items():
        keys = dict(given)
        rows = keys.pop("rows", None)
        plan = keys.pop("plan", None)
        if rows is not None:
            plan = PLAN + "".join(f"echo '{json.dumps(row)}'\n" for row in rows)
        profiles[name] = {"agent": "fake", "output": f"{name}/{{id}}.txt", "plan": plan, "verify": [CHECK], **keys}
        profiles[name] = {key: value for key, value in profiles[name].items() if value is not None}
    project.configure({"workspace": {"kind": "none"}, "phases": list(phases), "profiles": profiles})
    project.configure({"profiles": {"default": None}})
    project.rows(columns=["id", "status", "profile", "plan", "out", "output"])
    return project


CHECK = "grep -q '^ok' \"$AGENTJOBS_ROW_OUTPUT\""


def row(task_id: str, phase: str, **more: str) -> dict[str, str]:
    return {"id": task_id, "out": f"{phase}/{task_id}.txt", **more}


def plans(project: Project) -> list[str]:
    """Return the complete runs of plan commands."""
    path = project.directory / "plans"
    return path.read_text().splitlines() if path.exists() else []


def three(directory: Path) -> Project:
    return pipeline(
        directory,
        read={"rows": [row("r1", "read"), row("r2", "read")]},
        join={"rows": [row("j1", "join")]},
        write={"rows": [row("w1", "write"), row("w2", "write")]},
    )


def test_three_phases_run_to_the_end(tmp_path: Path) -> None:
    project = three(tmp_path)
    assert project.settle() == dict.fromkeys(["r1", "r2", "j1", "w1", "w2"], "DONE")
    assert plans(project) == [
        "read after nothing missing ",
        "join after read missing ",
        "write after join missing ",
    ]
    stdin = [json.loads(line) for line in (tmp_path / "stdin.join").read_text().splitlines()]
    assert [(one["id"], one["status"], one["output"]) for one in stdin] == [
        ("r1", "DONE", "read/r1.txt"),
        ("r2", "DONE", "read/r2.txt"),
    ]
    assert (tmp_path / "stdin.read").read_text() == ""
    order = [start.task for start in project.ledger()]
    assert sorted(order[:2]) == ["r1", "r2"]
    assert order[2] == "j1"
    assert project.poll().code == 2
    assert len(plans(project)) == 3


def test_a_tree_is_merged_level_by_level(tmp_path: Path) -> None:
    tree = f"echo $AGENTJOBS_PHASE >>../plans; {sys.executable} -m agentjobs plan tree --fan-in 2 --budget 60k"
    project = pipeline(
        tmp_path,
        read={"rows": [row(f"r{n}", "read") for n in range(5)]},
        merge={"plan": tree, "again": True, "verify": []},
    )
    project.configure({"agents": {"fake": {"command": ["sh", "{root}/../agent.sh"]}}})
    agent = 'mkdir -p "$(dirname "$AGENTJOBS_ROW_OUTPUT")"; echo "ok $AGENTJOBS_TASK" >"$AGENTJOBS_ROW_OUTPUT"\n'
    (tmp_path / "agent.sh").write_text(agent + """echo '{"type": "result", "is_error": false}'\n""")
    statuses = project.settle()
    assert set(statuses.values()) == {"DONE"}, project.story()
    levels = [cells["level"] for cells in project.table().values() if cells["profile"] == "merge"]
    assert levels == ["1", "1", "2", "3"], "5 outputs: 3 groups, one of them carried, then 2, then 1"
    assert plans(project).count("merge") == 4, "once for each level, and once that adds nothing"
    assert all(cells["output"].startswith("merge/") for cells in project.table().values() if cells["level"])
