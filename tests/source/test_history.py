"""Which files change together: counted of the commits that touch either, through renames, from real histories."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentjobs.source import history
from agentjobs.source.history import FILES_MAX, Coupling, coupled_files
from agentjobs.workspace.git import Git
from tests.kit.harness import Project

WHO = "Someone <someone@example.org>"


def imported(directory: Path, *commits: tuple[str, dict[str, str | None]]) -> Git:
    """Make a repository of these commits, oldest first: a message, and files with their text (None: removed)."""
    project = Project(directory)
    lines = []
    for message, files in commits:
        lines += ["commit refs/heads/made", f"committer {WHO} 1700000000 +0000", f"data {len(message)}", message]
        for path, text in files.items():
            lines += [f"D {path}"] if text is None else [f"M 644 inline {path}", f"data {len(text)}", text]
    (directory / "stream").write_text("\n".join(lines) + "\n")
    with (directory / "stream").open("rb") as stream:
        Git(project.root).run("fast-import", "--quiet", stdin=stream.read())
    return Git(project.root)


def both(number: int, *paths: str) -> tuple[str, dict[str, str | None]]:
    return f"change {number}", {path: f"{path} {number}\n" * 9 for path in paths}


def test_the_share_is_of_the_commits_that_touch_either(tmp_path: Path) -> None:
    commits = [both(n, "a", "b") for n in range(4)] + [both(n, "a") for n in range(10, 12)] + [both(20, "b")]
    git = imported(tmp_path / "p", *commits)
    assert coupled_files(git, "made", ["a", "b"], support=4) == [Coupling(("a", "b"), 4, 7)]
    assert coupled_files(git, "made", ["a", "b"], support=5) == []
    assert coupled_files(git, "made", ["a", "b"], support=1, share=0.6) == []
    assert coupled_files(git, "made", ["a"], support=1) == []


def test_what_says_nothing_of_two_files_does_not_count(tmp_path: Path) -> None:
    many = [f"f{number}" for number in range(FILES_MAX)]
    landed = both(9, "a", "b")
    git = imported(
        tmp_path / "p",
        *[both(n, "a", "b", *many[1:]) for n in range(4)],
        *[(f"{landed[0]} {n}\n\nAgentjobs-Task: x\n", both(n, "a", "b")[1]) for n in range(10, 14)],
    )
    assert coupled_files(git, "made", ["a", "b"], support=1) == []
    some = imported(tmp_path / "q", *[both(n, "a", "b", *many[2:]) for n in range(4)])
    assert coupled_files(some, "made", ["a", "b"], support=4) == [Coupling(("a", "b"), 4, 4)]


def test_a_merge_does_not_count(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", files={"a": "1\n", "b": "1\n"})
    project.git("switch", "-q", "-c", "side")
    (project.root / "a").write_text("2\n")
    project.git("commit", "-qam", "a")
    (project.root / "b").write_text("2\n")
    project.git("commit", "-qam", "b")
    project.git("switch", "-q", "main")
    project.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    assert coupled_files(Git(project.root), "HEAD", ["a", "b"], support=1, share=0.1) == [Coupling(("a", "b"), 1, 3)]


def test_a_file_is_followed_through_its_renames(tmp_path: Path) -> None:
    text = both(3, "old.js")[1]["old.js"]
    git = imported(
        tmp_path / "p",
        *[both(n, "old.js", "b") for n in range(4)],
        ("move", {"old.js": None, "mid.js": text}),
        both(5, "mid.js", "b"),
        ("move again", {"mid.js": None, "new.ts": both(5, "mid.js")[1]["mid.js"]}),
        ("another with the old name", {"old.js": "something else\n"}),
    )
    assert coupled_files(git, "made", ["new.ts", "b", "old.js"], support=2) == [Coupling(("b", "new.ts"), 5, 7)]


def test_only_so_many_commits_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "COMMITS_MAX", 5)
    git = imported(tmp_path / "p", *[both(n, "a", "b") for n in range(3)], *[both(n, "c") for n in range(4)])
    assert coupled_files(git, "made", ["a", "b"], support=1) == [Coupling(("a", "b"), 1, 1)]


def test_odd_names(tmp_path: Path) -> None:
    odd = ["tab\there", 'quote"', "ü", "-x"]
    project = Project(tmp_path / "p", files=dict.fromkeys(odd, "1\n"))
    found = coupled_files(Git(project.root), "HEAD", odd, support=1)
    assert len(found) == 6
    assert {name for pair in found for name in pair.files} == set(odd)
