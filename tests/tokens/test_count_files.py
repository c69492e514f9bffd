"""Files counted in parallel: the counts are tiktoken's, the memory is never needed and never wrong."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.model.errors import UserError
from agentjobs.tokens import count
from agentjobs.tokens.count_files import _LINE, count_contents
from agentjobs.tokens.vocabularies import KEPT, vocabulary

ROOT = Path(__file__).parents[2]
TEXTS = [
    *(path.read_bytes() for path in sorted(ROOT.glob("docs/*.md"))),
    (ROOT / "tests" / "fixtures" / "agents" / "claude" / "ok" / "stdout").read_bytes(),
    b"",
    b"<|endoftext|> and <|endofprompt|> are text here, and so is <|fim_prefix|>",
    b"x" * 200_000,  # one huge word on one line
    b"a,b;" * 100_000,
    "日本語のテキスト。".encode() * 500,
    b"caf\xe9 \xff\xfe latin-1, not UTF-8",
    Path(sys.executable).read_bytes()[:50_000],  # no text at all
]


def expected(contents: list[bytes]) -> list[int]:
    """What tiktoken says of each alone; special marks are text."""
    words = count.vocabulary()
    return [len(words.encode(data.decode("utf-8", "replace"), disallowed_special=())) for data in contents]


def test_counts_are_tiktokens_with_and_without_a_memory(tmp_path: Path) -> None:
    wanted = expected(TEXTS)
    assert count_contents(TEXTS) == wanted
    assert count_contents(TEXTS, memory=tmp_path / "m") == wanted
    kept = (tmp_path / "m" / "o200k_base").read_bytes()
    assert len(_LINE.findall(kept)) == sum(len(data) > 64 for data in TEXTS)
    assert count_contents([*TEXTS, b"new"], memory=tmp_path / "m") == [*wanted, 1]
    assert (tmp_path / "m" / "o200k_base").read_bytes() == kept, "what is known is not written again"


def test_the_memory_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = count_contents(TEXTS[:3], memory=tmp_path)
    monkeypatch.setattr("agentjobs.tokens.count_files.vocabulary", None)  # loading it would fail now
    assert count_contents(TEXTS[:3], memory=tmp_path) == first


@given(cut=st.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_a_memory_that_a_crash_has_cut_is_never_wrong(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    contents = [bytes([65 + at]) * 70 + b" some words" * (at + 1) for at in range(6)]
    memory = tmp_path_factory.mktemp("memory")
    wanted = count_contents(contents[:4], memory=memory)
    path = memory / "o200k_base"
    path.write_bytes(path.read_bytes()[: -min(cut, path.stat().st_size - 1)])
    wanted += count_contents(contents[4:], memory=memory)
    for _ in range(2):
        assert count_contents(contents, memory=memory) == wanted == expected(contents)


def test_a_memory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert count_contents(TEXTS[:2], memory=tmp_path / "file") == expected(TEXTS[:2])
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "o200k_base").write_bytes(b"\xff\0 nonsense\n" * 100)
    assert count_contents(TEXTS[:2], memory=tmp_path / "m") == expected(TEXTS[:2])


def test_a_memory_that_grows_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentjobs.tokens.count_files.MOST_BYTES", 100)
    for at in range(8):
        assert count_contents([b"word " * (20 + at)], memory=tmp_path) == expected([b"word " * (20 + at)])
    assert (tmp_path / "o200k_base").stat().st_size <= 100 + 40


def test_an_encoding_that_the_user_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """o200k_harmony has the same file as o200k_base: tiktoken's own loader takes it from its cache."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    with pytest.raises(UserError, match=r"o200k_harmony is not in tiktoken's cache .*fetches nothing"):
        vocabulary("o200k_harmony")
    path = tmp_path / KEPT["o200k_harmony"][0]
    path.write_bytes(count.read_vocabulary()[:-1])
    with pytest.raises(UserError, match="is not in tiktoken's cache"):
        vocabulary("o200k_harmony")
    assert path.exists(), "what is there is left alone"
    path.write_bytes(count.read_vocabulary())
    found = count_contents(TEXTS, encoding="o200k_harmony", memory=tmp_path / "m")
    assert found == expected(TEXTS)
    assert os.listdir(tmp_path / "m") == ["o200k_harmony"]


@pytest.mark.parametrize("name", [name for name in KEPT if name != "o200k_harmony"])
def test_names_and_hashes_are_tiktokens(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What tiktoken asks its loader for is what we look for in its cache."""
    import tiktoken.load
    known: Any = importlib.import_module("tiktoken_ext.openai_public")

    class Asked(Exception):
        pass

    asked: list[str] = []

    def read(url: str) -> bytes:
        import hashlib

        asked.append(hashlib.sha1(url.encode()).hexdigest())
        raise Asked

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tiktoken.load, "read_file", read)
    with pytest.raises(Asked):
        known.ENCODING_CONSTRUCTORS[name]()
    assert asked == [KEPT[name][0]]
    assert KEPT[name][1] in Path(known.__file__).read_text()


def test_an_unknown_encoding() -> None:
    with pytest.raises(UserError, match="no encoding 'words'; known: cl100k_base, o200k_base, "):
        vocabulary("words")


def test_threads_make_no_difference() -> None:
    texts = [data.decode("utf-8", "replace") for data in TEXTS] * 3
    words = count.vocabulary()
    assert count.count_all(words, texts, 4) == count.count_all(words, texts, 1)


# --- the command ------------------------------------------------------------------------------------------


def run(cwd: Path, *args: str, stdin: bytes = b"", code: int = 0, **env: str) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "agentjobs", "tokens", *args],
        cwd=cwd, input=stdin, capture_output=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip
    assert done.returncode == code, done.stderr.decode()
    return done


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with a text, a binary, an ignored file, an untracked one, a link and an odd name."""
    tree = tmp_path / "tree"
    (tree / "docs").mkdir(parents=True)
    (tree / "docs" / "a.md").write_text("hello world\n")
    (tree / "docs" / "logo.png").write_bytes(b"\x89PNG\0\0")
    (tree / "docs" / "link.md").symlink_to("a.md")
    (tree / ".gitignore").write_text("*.log\n")
    subprocess.run(["git", "init", "-q", "."], cwd=tree, check=True)
    subprocess.run(["git", "add", "-A"], cwd=tree, check=True)
    (tree / "new.txt").write_text("hello")
    (tree / "out.log").write_text("no")
    return tree


def test_files_directories_and_stdin(tree: Path) -> None:
    assert run(tree, stdin=b"hello world").stdout == b"2\t-\n"
    assert run(tree, "-", "new.txt", stdin=b"hello world").stdout == b"2\t-\n1\tnew.txt\n3\ttotal\n"
    done = run(tree, "docs", ".")
    assert done.stdout == b"3\tdocs/a.md\n3\t.gitignore\n3\tdocs/a.md\n1\tnew.txt\n10\ttotal\n"
    assert done.stderr == b"agentjobs: left out 2 files that are not texts\n"
    assert run(tree, "docs/logo.png").stdout.endswith(b"\tdocs/logo.png\n"), "what is named is counted"


def test_a_directory_without_a_repository(tree: Path) -> None:
    (tree / ".git").rename(tree.parent / "gone")
    assert b"1\tout.log\n" in run(tree, ".", GIT_CEILING_DIRECTORIES=str(tree.parent)).stdout


def test_names_that_are_no_utf8(tree: Path) -> None:
    path = os.fsencode(tree) + b"/caf\xe9.txt"
    with open(path, "wb") as file:
        file.write(b"hello")
    assert b"1\tcaf\xe9.txt\n" in run(tree, ".").stdout


def test_json_and_the_factor_of_an_agent(tree: Path) -> None:
    assert run(tree, "--agent", "claude", "docs/a.md").stdout == b"4\tdocs/a.md\n", "3 x 1.2, a part is a whole"
    import json

    found = json.loads(run(tree, "--json", "--agent", "claude", "docs/a.md").stdout)
    assert found == {
        "encoding": "o200k_base", "agent": "claude", "factor": 1.2, "total": 4,
        "files": [{"path": "docs/a.md", "tokens": 4, "bytes": 12}],
    }  # fmt: skip


def test_what_cannot_be_counted(tree: Path) -> None:
    assert run(tree, "none.md", code=1).stderr == b"agentjobs: none.md: No such file or directory\n"
    assert b'unknown agent "cluade"; did you mean "claude"?' in run(tree, "--agent", "cluade", code=1).stderr
    assert b"cl100k_base is not in tiktoken's cache" in run(
        tree, "--encoding", "cl100k_base", "new.txt", code=1, TIKTOKEN_CACHE_DIR=str(tree)
    ).stderr  # fmt: skip
    run(tree, "--encoding", "cl100k_base", "--agent", "claude", code=64)
    run(tree, "--calibrate", "new.txt", code=64)


def test_what_is_larger_than_any_window_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentjobs.tokens.count_files.LARGEST", 1000)
    monkeypatch.setattr("agentjobs.tokens.count_files.SAMPLE", 300)
    assert count_contents([b"ab " * 300, b"ab " * 1000, b"\0" * 1_000_000]) == [
        *expected([b"ab " * 300]),
        expected([b"ab " * 100])[0] * 10,
        expected([b"\0" * 300])[0] * 1_000_000 // 300,
    ]
