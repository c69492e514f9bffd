"""The proof of the knowledge base notices what it says it would: it is shown a run in which something is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.kit.harness import Project
from tests.knowledge import prove
from tests.templates.test_knowledge_base import project as job

NOTHING: frozenset[str] = frozenset()
made = job


@pytest.fixture
def shown(made: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A run that has ended well, in the place where the proof looks."""
    assert set(made.settle().values()) == {"DONE"}
    monkeypatch.setattr(prove, "PROJECT", made.root)
    monkeypatch.setattr(prove, "BUDGET", 400)
    monkeypatch.setattr(prove, "FAN_IN", 2)
    return made


def faults(project: Project) -> str:
    paths = sorted(str(path.relative_to(project.root)) for path in (project.root / "documents").iterdir())
    return "\n".join(prove.looked_at(paths, again=NOTHING))


def attempts(project: Project, task_id: str) -> Path:
    return project.root / ".agentjobs" / "attempts" / task_id


def copied(place: Path, name: str, **intent: object) -> None:
    """Let there be one attempt more, like the first."""
    shutil.copytree(place / "001", place / name)
    path = place / name / "attempt.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | intent))


@pytest.mark.slow
def test_the_proof_notices_each_thing_that_is_wrong(shown: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults(shown) == ""
    table = (shown.root / "tasks.tsv").read_text()
    one, other = attempts(shown, "analyse-001"), attempts(shown, "analyse-002")

    copied(one, "002", number=2)
    assert faults(shown) == "analyse-001, round 1: its attempts ended as ok, ok"
    (one / "002" / "result.json").unlink()  # done again, and killed
    assert faults(shown) == "analyse-001, round 1: its attempts ended as ok, without a result"
    shutil.rmtree(one / "002")
    copied(other, "002", number=2, round=2)
    assert faults(shown) == "analyse-002 had 2 rounds, not 1"
    shutil.rmtree(other / "002")

    copied(attempts(shown, "+plan.cluster"), "002", number=2)
    assert "cluster was planned 2 times, not 1" in faults(shown)
    shutil.rmtree(attempts(shown, "+plan.cluster") / "002")
    assert faults(shown) == ""

    monkeypatch.setattr(prove, "BUDGET", 300)
    assert "a batch has " in faults(shown)
    monkeypatch.setattr(prove, "BUDGET", 400)

    document = shown.table()["analyse-001"]["docs"].split()[0]
    lines = (shown.root / document).read_text().splitlines()
    last = max(at for at, line in enumerate(lines, start=1) if line.strip())
    changed(shown, table, f"\tanalyse\t{document} ", f"\tanalyse\t{document}:1-{last - 1} ")
    assert faults(shown) == f"{document}:{last} is in 0 batches"
    changed(shown, table, f"\tanalyse\t{document} ", f"\tanalyse\t{document} {document}:1-1 ")
    assert f"{document}:1 is in 2 batches" in faults(shown)

    header = table.splitlines()[next(at for at, line in enumerate(table.splitlines()) if line.startswith("id\t"))]
    level = header.split("\t").index("level")
    rows = [line.split("\t") for line in table.splitlines()]
    top = max((row for row in rows if row[0].startswith("merge-")), key=lambda row: row[level])
    wrong = [*top[:level], "3", *top[level + 1 :]]
    changed(shown, table, "\t".join(top), "\t".join(wrong))
    assert f"{top[0]} is on level 3" in faults(shown)
    monkeypatch.setattr(prove, "FAN_IN", 1)
    assert "merges too much" in faults(shown)


def changed(project: Project, table: str, old: str, new: str) -> None:
    assert table.count(old) == 1
    (project.root / "tasks.tsv").write_text(table.replace(old, new))
