"""The job knowledge-base: documents become one, phase by phase, offline, with the agent that comes with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.harness import REPOSITORY, Project

PHASES = ["analyse", "normalise", "cluster", "digest", "merge", "write", "assemble"]
TOOLS = REPOSITORY / "templates" / "knowledge-base" / "tools"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with the job as `init` writes it, nothing changed but the pause between two starts."""
    made = Project(tmp_path)
    (made.root / "agentjobs.toml").unlink()
    made.run("init", "knowledge-base", code=0)
    policy = made.root / "agentjobs.toml"
    text = policy.read_text().replace("# start_interval_s = 0.5 ", "start_interval_s = 0 ")
    policy.write_text(text.replace("--budget 20k", "--budget 400").replace("--fan-in 5", "--fan-in 2"))
    return made


@pytest.mark.slow
def test_documents_become_one(project: Project) -> None:
    assert project.run("check", code=0).lines[-1:] == ["0 tasks: 0 errors, 0 warnings"]
    assert set(project.settle().values()) == {"DONE"}
    table = project.table()
    by_phase = {phase: [i for i, cells in table.items() if cells["profile"] == phase] for phase in PHASES}
    assert {phase: len(ids) for phase, ids in by_phase.items()} == {
        "analyse": 3, "normalise": 3, "cluster": 1, "digest": 3, "merge": 2, "write": 3, "assemble": 1,
    }  # fmt: skip
    assert [table[i]["level"] for i in by_phase["merge"]] == ["1", "2"]
    text = (project.root / "knowledge-base.md").read_text()
    for path in (project.root / "documents").iterdir():
        assert f"[documents/{path.name}]" in text
    assert all(int(cells["doc_tokens"]) <= 400 for cells in table.values() if cells["profile"] == "analyse")
    assert all(project.outcomes(i) == ["ok"] for i in table)

    project.run("retry", "--phase", "write", code=0)
    assert project.loop().last == 2
    assert {i for i in table if len(project.outcomes(i)) > 1} == set(by_phase["write"])
    assert (project.root / "knowledge-base.md").read_text() == text


def test_what_an_agent_loses_is_found(project: Project) -> None:
    """A fact that is dropped on the way fails its task: an agent's word is not taken for it."""
    agent = project.root / "tools" / "agent.py"
    lazy = 'one["facts"] = [*one["facts"], *note.facts[:-1]]'
    text = agent.read_text()
    line = 'one["facts"] = [*one["facts"], *note.facts]'
    assert line in text
    agent.write_text(text.replace(line, lazy))
    project.dispatch()
    assert project.loop().last == 3
    failed = [i for i, cells in project.table().items() if cells["status"] == "FAILED"]
    assert failed
    assert all(i.startswith("normalise-") for i in failed)
    errors = project.attempts(failed[0])[0]["result"]["errors"]
    assert "facts, the analysis has" in errors


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("phase", "output", "fault"),
    [
        ("analyse", "## documents/a.md\n\nTitle: A\n\n- A fact.\n", "no line `Topics"),
        ("analyse", "## documents/b.md\n\nTitle: B\n\nTopics: b\n\n- B.\n", "no section `## documents/a.md`"),
        ("cluster", '{"id": "digest-a", "title": "A", "documents": "documents/x.md"}\n', "x.md is not a document"),
        ("cluster", '{"id": "digest-a", "title": "A", "documents": "documents/a.md documents/a.md"}\n', "2 clusters"),
        ("digest", "# A\n\nNothing.\n", "[documents/a.md] is not cited"),
        ("write", "A fact. [documents/a.md]\n", "is not a heading"),
        ("merge", "# Outline\n\n## B {#digest-b}\n\nB.\n", "no section `## Title {#digest-a}`"),
        ("assemble", "# All\n", "is missing, or was changed"),
    ],
)
def test_the_checks_say_what_is_wrong(tmp_path: Path, phase: str, output: str, fault: str) -> None:
    for name in ("documents", "normalised", "digests", "sections"):
        (tmp_path / name).mkdir()
    (tmp_path / "documents" / "a.md").write_text("# A\n\nA fact.\n")
    notes = [{"document": "documents/a.md", "title": "A", "topics": ["a"], "facts": ["A fact."]}]
    (tmp_path / "normalised" / "n.json").write_text(json.dumps({"documents": notes}))
    (tmp_path / "digests" / "digest-a.md").write_text("# A\n\n- A fact. [documents/a.md]\n")
    (tmp_path / "sections" / "section-a.md").write_text("## A\n\nA fact. [documents/a.md]\n")
    (tmp_path / "out").write_text(output)
    docs = {"analyse": "documents/a.md", "merge": "digests/digest-a.md", "assemble": "sections/section-a.md"}
    env = {
        "AGENTJOBS_ROW_OUTPUT": "out",
        "AGENTJOBS_ROW_DOCS": docs.get(phase, ""),
        "AGENTJOBS_ROW_DOCUMENTS": "documents/a.md",
    }
    done = subprocess.run(
        [sys.executable, str(TOOLS / "check.py"), phase],
        cwd=tmp_path, env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done
    assert fault in done.stdout
    assert not done.stderr
