"""The files that are there, and what a glob means."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.model.errors import UserError
from agentjobs.source.files import _matcher, matching, present
from tests.kit.repositories import make_repository, sh, write

FILES = [
    "a.js",
    "b.ts",
    "src/a.js",
    "src/deep/er/c.jsx",
    "src/deep/a.test.js",
    "vendor/v.js",
    "lib/vendor/w.js",
    "x[1].js",
]


def chosen(globs: list[str]) -> list[str]:
    matcher = _matcher(globs)
    return [path for path in FILES if matcher.fullmatch(path)]


@pytest.mark.parametrize(("glob", "expected"), [
    ("*.ts", "b.ts"), ("/*.js", "a.js x[1].js"), ("src/*.js", "src/a.js"), ("a.js", "a.js src/a.js"), ("./a.js",
    "a.js"),
    ("src/**/*.js", "src/a.js src/deep/a.test.js"), ("src/**", "src/a.js src/deep/er/c.jsx src/deep/a.test.js"),
    ("src", "src/a.js src/deep/er/c.jsx src/deep/a.test.js"), ("src/", "src/a.js src/deep/er/c.jsx src/deep/a.test.js"),
    ("vendor/", "vendor/v.js lib/vendor/w.js"), ("/vendor", "vendor/v.js"), ("**/vendor/*",
    "vendor/v.js lib/vendor/w.js"),
    ("a.js/", ""), ("*.{ts,jsx}", "b.ts src/deep/er/c.jsx"), ("{src,lib}/**/[a-c].*",
    "src/a.js src/deep/er/c.jsx src/deep/a.test.js"),
    ("[!a-v].js", "lib/vendor/w.js"), ("?.ts", "b.ts"), ("x\\[1\\].js", "x[1].js"), ("**", " ".join(FILES)),
    ("s**c/a.js", "src/a.js"), ("src/deep/*", "src/deep/er/c.jsx src/deep/a.test.js"), ("*/a.js", "src/a.js"),
    ("src?a.js", ""),
    ("[]x].js", ""), ("src/*/er", "src/deep/er/c.jsx"), ("x[[]1].js", "x[1].js"),
])  # fmt: skip
def test_globs(glob: str, expected: str) -> None:
    assert chosen([glob]) == sorted(expected.split(), key=FILES.index)


@pytest.mark.parametrize("glob", [
    "", "/", "./", "!a.js", "[a", "a[", "{a", "a{b,c", "a\\", "../a", "a/../b", "a//b", "[z-a]", "a\0b", "/./a",
])  # fmt: skip
def test_a_bad_glob_is_said_to_be_one(glob: str) -> None:
    for include, exclude in ([glob], []), ([], [glob]):
        with pytest.raises(UserError, match="glob"):
            matching([], include, exclude)


NAMES = st.sampled_from(["a", "b", "a.js", "b.ts", ".x", "[", "a b"])
PIECES = st.sampled_from(["a", "b", "*", "**", "/", "?", ".js", "[ab]", "[!a]", ".", "\\["])


@settings(max_examples=12, deadline=None)
@given(st.lists(st.lists(PIECES, min_size=1, max_size=6).map("".join), min_size=1, max_size=4, unique=True),
       st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), min_size=1, max_size=8,
       unique=True))  # fmt: skip
def test_a_glob_means_what_it_means_to_git(globs: list[str], paths: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["git", "init", "-q", directory], check=True)
        for glob in globs:
            try:
                matcher = _matcher([glob])
            except UserError:
                continue
            if glob.startswith("./"):
                continue  # ours alone: git takes it for a name
            Path(directory, ".git/info/exclude").write_text(glob + "\n")
            done = subprocess.run(
                ["git", "check-ignore", "--no-index", "-z", "--stdin"], cwd=directory, check=False, capture_output=True,
                input="\0".join(paths).encode(),
            )  # fmt: skip
            ignored = {path for path in done.stdout.decode().split("\0") if path}
            assert {path for path in paths if matcher.fullmatch(path)} == ignored, glob


def test_what_the_disk_has_and_git_does_not_ignore(tmp_path: Path) -> None:
    git = make_repository(tmp_path, dict.fromkeys(FILES, ""))
    odd = os.fsdecode(b"\xff.js")
    write(tmp_path / odd, "")
    (tmp_path / "link.js").symlink_to("a.js")
    (tmp_path / "linked").symlink_to("src")
    make_repository(tmp_path / "sub", {"s.js": ""})
    sh(tmp_path, "git", "add", "-A")
    write(tmp_path / "untracked.js", "")
    write(tmp_path / "ignored.log", "")
    (tmp_path / "vendor/v.js").unlink()
    (tmp_path / "b.ts").unlink()
    (tmp_path / "b.ts").symlink_to("a.js")
    there = sorted({*FILES, odd, ".gitignore", "untracked.js"} - {"vendor/v.js", "b.ts"})
    assert present(git.root) == there
    assert matching(there, ["*.js"], ["src/", "lib/**"]) == ["a.js", "untracked.js", "x[1].js", odd]
    assert matching(present(tmp_path / "src"), ["/*.js"]) == ["a.js"], "paths are from the directory asked for"


def test_each_side_of_a_conflict_is_the_same_file(tmp_path: Path) -> None:
    git = make_repository(tmp_path, {"a.js": "1\n"})
    sh(tmp_path, "git", "checkout", "-q", "-b", "other")
    write(tmp_path / "a.js", "2\n")
    sh(tmp_path, "git", "commit", "-qam", "other")
    sh(tmp_path, "git", "checkout", "-q", "main")
    write(tmp_path / "a.js", "3\n")
    sh(tmp_path, "git", "commit", "-qam", "main")
    subprocess.run(["git", "merge", "-q", "other"], cwd=tmp_path, check=False, capture_output=True)
    assert matching(present(git.root), ["*.js"]) == ["a.js"]


def test_without_a_repository(tmp_path: Path) -> None:
    write(tmp_path / "src/a.js", "")
    write(tmp_path / ".agentjobs/facts", "")
    assert present(tmp_path) == ["src/a.js"]
