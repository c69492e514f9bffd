"""``plan pack`` and ``plan tree`` in a real project: planned, run, planned again."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentjobs.tokens.count import count
from tests.kit.harness import Project

WRITE = 'mkdir -p out; echo "$AGENTJOBS_TASK $AGENTJOBS_ROW_DOCS" >"$AGENTJOBS_ROW_OUTPUT"'
CHECK = 'test -s "$AGENTJOBS_ROW_OUTPUT"'
LARGE = "".join(f"# Part {at}\n\n{'word ' * 300}\n" for at in range(5))
DOCS = {
    **{f"docs/{name}.md": f"# {name}\n" + "word " * size for name, size in
       {"a": 900, "b": 700, "c": 300, "d": 100, "e": 950, "f": 50}.items()},
    "docs/large.md": LARGE,
    "docs/logo.png": "\0\0",
    "other.md": "not asked for\n",
}  # fmt: skip


def made(directory: Path, kind: str = "worktree") -> Project:
    project = Project(directory, files=DOCS)
    project.configure(
        workspace={"kind": kind},
        profiles={"default": {"agent": "writer", "verify": [CHECK], "require_change": False}},
        agents={"writer": {"command": ["sh", "-c", WRITE]}},
    )
    return project


def table(project: Project) -> bytes:
    return (project.root / "tasks.tsv").read_bytes()


def docs(project: Project) -> list[str]:
    return sorted(one for row in project.table().values() if row["pack"] for one in row["docs"].split())


def settle(project: Project) -> None:
    project.dispatch()
    project.run("run", code=2)
    assert set(project.statuses().values()) == {"DONE"}


@pytest.mark.sample(1)
@pytest.mark.parametrize("kind", ["worktree", "none"])
def test_packed_done_and_merged_into_one(tmp_path: Path, kind: str) -> None:
    project = made(tmp_path, kind)
    dry = project.run("plan", "pack", "docs", "--budget", "1k", "--split", "--dry-run", code=0)
    assert not (project.root / "tasks.tsv").exists()
    assert dry.lines[0].split("\t")[:4] == ["change", "id", "pack", "docs"]
    said = project.run("plan", "pack", "docs", "--budget", "1k", "--split", code=0)
    assert "left out, because empty or not text: 1" in said.stderr
    rows = project.table()
    assert [line.split("\t")[1] for line in dry.lines[1:]] == list(rows)
    assert docs(project) == [*(f"docs/{name}.md" for name in "abcdef"), "docs/large.md:1-9", "docs/large.md:10-15"]
    assert all(int(row["doc_tokens"]) <= 1000 for row in rows.values())
    for row in rows.values():
        read = 0
        for name in row["docs"].split():
            path, _, lines = name.partition(":")
            first, _, last = lines.partition("-")
            text = (project.root / path).read_text().splitlines(keepends=True)
            read += count("".join(text[int(first or 1) - 1 : int(last or 10**6)]))
        assert read == int(row["doc_tokens"])
    before = table(project)
    project.run("plan", "pack", "docs", "--budget", "1k", "--split", code=0)
    assert table(project) == before
    assert "waits for" in project.run("plan", "tree", "--budget", "1k", code=0).stderr
    assert table(project) == before
    settle(project)
    assert "0 documents" in project.run("plan", "pack", "docs", "--budget", "1k", "--split", code=0).stderr

    count_before = len(project.table())
    for level in range(1, 5):
        said = project.run("plan", "tree", "--budget", "1k", "--fan-in", "2", code=0)
        if "everything is merged" in said.stderr:
            break
        assert f"level {level}:" in said.stderr
        planned = table(project)
        project.run("plan", "tree", "--budget", "1k", "--fan-in", "2", code=0)
        assert table(project) == planned
        settle(project)
    rows = project.table()
    merges = [row for row in rows.values() if row["tree"]]
    assert len(merges) == count_before - 1
    assert [row["final"] for row in merges][-1] == "yes"
    merged = [one for row in merges for one in row["docs"].split()]
    assert sorted(merged) == sorted(row["output"] for row in rows.values() if not row["final"]), "each once"
    assert {row["attempt"] for row in rows.values()} == {"1"}, "nothing was done twice"
    assert "0 documents" in project.run("plan", "pack", "docs", "--budget", "1k", "--split", code=0).stderr


@pytest.mark.slow
def test_planned_again_as_documents_come_change_and_go(tmp_path: Path) -> None:
    project = made(tmp_path, "none")
    plan = ("plan", "pack", "docs", "--budget", "1k", "--exclude", "large.md")
    project.run(*plan, code=0)
    first = next(iter(project.table()))
    project.dispatch(first)
    project.run("run", code=2)
    done = project.table()[first]["docs"].split()
    (project.root / done[0]).write_text("# changed\n")
    (project.root / "docs" / "new.md").write_text("# new\n")
    gone = next(one for row in project.table().values() if row["status"] == "TODO" for one in row["docs"].split())
    (project.root / gone).unlink()
    said = project.run(*plan, code=0)
    assert f"changed since their task was DONE, and planned again: {done[0]}" in said.stderr
    rows = project.table()
    assert rows[first]["status"] == "DONE"
    waiting = [one for row in rows.values() if row["status"] == "TODO" for one in row["docs"].split()]
    assert len(waiting) == len(set(waiting))
    assert {done[0], "docs/new.md"} <= set(waiting)
    assert gone not in waiting
    assert not set(done[1:]) & set(waiting)
    # A failed row keeps its documents.
    other = next(i for i, row in rows.items() if row["status"] == "TODO")
    project.edit(other, status="FAILED")
    project.run("status", code=0)
    kept = set(project.table()[other]["docs"].split())
    project.run(*plan, code=0)
    again = [one for row in project.table().values() if row["status"] == "TODO" for one in row["docs"].split()]
    assert not kept & set(again)


@pytest.mark.sample(1)
@pytest.mark.parametrize("ignored", ["docs/", "out/", "*"])
def test_what_git_ignores_is_there_for_tasks_without_trees(tmp_path: Path, ignored: str) -> None:
    """Documents and outputs need not be in a repository; even the whole project may be ignored by one around it."""
    project = made(tmp_path, "none")
    project.git("rm", "-rq", "--cached", ".")
    (project.root / ".gitignore").write_text(f".agentjobs/\n{ignored}\n")
    project.run("plan", "pack", "docs", "--budget", "1k", "--split", code=0)
    assert docs(project) == [*(f"docs/{name}.md" for name in "abcdef"), "docs/large.md:1-9", "docs/large.md:10-15"]
    settle(project)
    said = project.run("plan", "tree", "--fan-in", "9", "--budget", "9k", code=0).stderr
    assert "level 1: " in said


def test_an_oversized_document_is_alone_and_told(tmp_path: Path) -> None:
    project = made(tmp_path)
    said = project.run("plan", "pack", "docs", "--budget", "1k", code=0)
    assert "single documents over the budget: docs/large.md; --split cuts at headings" in said.stderr
    large = [row for row in project.table().values() if row["oversized"]]
    assert [row["docs"] for row in large] == ["docs/large.md"]
    assert all(int(row["doc_tokens"]) <= 1000 or row in large for row in project.table().values())


def test_the_factor_of_the_agent_counts(tmp_path: Path) -> None:
    project = made(tmp_path)
    project.configure(agents={"writer": {"tokens_factor": 2.0}})
    project.run("plan", "pack", "docs", "--budget", "2k", "--exclude", "large.md", code=0)
    doubled = {row["docs"]: int(row["doc_tokens"]) for row in project.table().values()}
    (project.root / "tasks.tsv").unlink()
    project.configure(agents={"writer": {"tokens_factor": 1.0}})
    project.run("plan", "pack", "docs", "--budget", "1k", "--exclude", "large.md", code=0)
    assert doubled == {row["docs"]: 2 * int(row["doc_tokens"]) for row in project.table().values()}


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    project = made(tmp_path)
    assert "nowhere: not in" in project.run("plan", "pack", "nowhere", "--budget", "1k", code=1).stderr
    for wrong in (["--budget", "much"], ["--budget", "1k", "--output", "same.md"], ["--budget", "1k", "--name", "a b"],
                  ["--budget", "1k", "--profile", "none"], ["--budget", "1k", "--output", "../{id}"], []):  # fmt: skip
        project.run("plan", "pack", "docs", *wrong, code=64)
    project.rows({"id": "a"})
    assert "nothing to merge" in project.run("plan", "tree", "--budget", "1k", code=1).stderr
