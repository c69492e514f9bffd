"""The handoff that a diff makes: what files export, and what a commit did to them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.model.errors import GitError
from agentjobs.prompts.derived_handoff import FILES_MAX, INTERFACES_MAX, MARK, from_diff, from_output, worth_parsing
from agentjobs.source.exports import DECLARED_MAX, exported, understood
from agentjobs.workspace.diffstat import FileChange, counted
from agentjobs.workspace.git import Git

TYPESCRIPT = b"""
export function foo<T>(a: number, b?: T): string { return "" }
export const x: number = 1, y = (a: string): void => { return }
export class C extends B implements I { #p() {} private q() {} static m(a: number): void {} get z() { return 1 } }
export abstract class D { abstract n(): void; m(): number { return 1 } }
export interface I { a: string; b(): void }
export type T = "a" | "b"
export default function main(argv: string[]) { }
export * from "./b"
export { p, q as r } from "./d"
function local(a: string) {}
const hidden = 1
export { local, local as other }
export declare function ext(a: string): void;
"""


def test_what_typescript_exports() -> None:
    assert exported("a.ts", TYPESCRIPT) == {
        "foo": "function foo<T>(a: number, b?: T): string",
        "x": "x: number",
        "y": "y = (a: string): void",
        "C": "class C extends B implements I",
        "C.m": "C: static m(a: number): void",
        "C.z": "C: get z()",
        "D": "abstract class D",
        "D.m": "D: m(): number",
        "I": "interface I { a: string; b(): void }",
        "T": 'type T = "a" | "b"',
        "default": "default function main(argv: string[])",
        '* from "./b"': '* from "./b"',
        "p": 'p from "./d"',
        "r": 'r from "./d"',
        "local": "function local(a: string)",
        "other": "other = function local(a: string)",
        "ext": "function ext(a: string): void",
    }
    assert exported("b.cts", b"function f(x: number) {}\nexport = f\n") == {
        "export =": "export = function f(x: number)"
    }


def test_what_javascript_exports() -> None:
    assert exported("a.js", b"exports.a = function (b, c) { return 1 }\nmodule.exports.d = 4\n") == {
        "a": "a = function (b, c)",
        "d": "d = 4",
    }
    assert exported("a.cjs", b"module.exports = { e, f: 1, g() {} }\nother.exports = 1\n") == {
        "e": "e",
        "f": "f",
        "g": "g",
    }
    assert exported("a.js", b"module.exports = function parse(a) { }") == {
        "module.exports": "module.exports = function parse(a)"
    }
    assert exported("a.js", b"export const typed: number = 1\n") == {"typed": "typed: number"}, "types on their way"


def test_what_python_exports() -> None:
    source = b'''
import os
X: int = 1
Y = Z = 2
_p = 1
def f(a, *, b: int = 3) -> str:
    """Doc."""
async def g(): ...
class K(Base, metaclass=M):
    def m(self, a): ...
    def _n(self): ...
def _private(): ...
'''
    found = {
        "X": "X: int", "Y": "Y", "Z": "Z", "f": "def f(a, *, b: int=3) -> str", "g": "async def g()",
        "K": "class K(Base, metaclass=M)", "K.m": "K: def m(self, a)",
    }  # fmt: skip
    assert exported("a.py", source) == found
    listed = source + b'__all__ = ["K", "_private"]\n'
    assert set(exported("a.pyi", listed)) == {"K", "K.m", "_private"}
    assert set(exported("a.py", source + b"__all__ = [*names]\n")) == set(found), "not literal: not known"


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("a.py", b"def f(:"), ("a.py", b"\xff\xfe"), ("a.py", b"x = " + b"(" * 5000), ("a.ts", b"export function ("),
        ("a.js", b"export const a = 1\0"), ("a.rs", b"pub fn f() {}"), ("Makefile", b"a:"), ("a.py", b"x" * 1_000_001),
    ],
)  # fmt: skip
def test_what_cannot_be_read_exports_nothing(path: str, data: bytes) -> None:
    assert exported(path, data) == {}


@given(st.binary(max_size=200), st.sampled_from(["a.py", "a.ts", "a.js", "a.tsx"]))
@settings(max_examples=150, deadline=None)
def test_any_bytes(data: bytes, path: str) -> None:
    assert all(len(declared) <= DECLARED_MAX for declared in exported(path, data).values())


def test_a_diff_in_words() -> None:
    changes = [
        FileChange("a.py", "a.py", "1", "2", 3, 1),
        FileChange("b.py", "", "", "3", 1, 0),
        FileChange("c.py", "c.py", "4", "", 0, 1),
        FileChange("d.bin", "", "", "5"),
        FileChange("e/f.rs", "f.rs", "6", "7", 0, 0),
    ]
    assert [change.path for change in worth_parsing(changes)] == ["a.py", "b.py", "c.py"]
    contents = {
        "1": b"def f(a): ...\ndef g(): ...\n", "2": b"def f(a, b): ...\nx = 1\n", "3": b"y = 1", "4": b"z = 1",
    }  # fmt: skip
    assert from_diff("Do  it\n", changes, contents) == f"""\
{MARK}

#### Summary

Do it
- `a.py` (+3 -1)
- `b.py` is new (+1 -0)
- `c.py` is gone (+0 -1)
- `d.bin` is new (no text)
- `f.rs` is `e/f.rs` now (+0 -0)

#### Interfaces

- `a.py`
  - added `x`
  - `def f(a)` is `def f(a, b)` now
  - removed `def g()`
- `b.py`
  - added `y`
- `c.py`
  - removed `z`"""
    assert from_diff("t", [], {}) == ""
    assert "Interfaces" not in from_diff("", changes, {})
    assert from_output("out/a.md", 1234) == "wrote out/a.md (1,234 tokens)"
    assert from_output("out/a.md", 1) == "wrote out/a.md (1 token)"
    assert from_output("out/a.md", None) == "wrote out/a.md"


def test_a_large_diff_is_bounded() -> None:
    changes = [FileChange(f"f{n:03}.py", "", "", str(n), 1, 0) for n in range(100)]
    text = from_diff("", changes, {str(n): b"a = 1\nb = 2\n" for n in range(100)})
    lines = text.split("\n")
    assert f"- and {100 - FILES_MAX} more files" in lines
    assert lines[-1].startswith("- and ")
    assert len(lines) < FILES_MAX + INTERFACES_MAX + 12


def test_a_commit_counted_by_git(tmp_path: Path) -> None:
    def git(*args: str) -> str:
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        argv = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *args]
        return subprocess.run(argv, cwd=tmp_path, env=env, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q", ".")
    long = "".join(f"line {n}\n" for n in range(30))
    for name, text in {"a": "1\n2\n", "moved here": long, "gone": "x\n", "bin": "\0old", "tab\tname": "1\n"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / os.fsdecode(b"b\xff.txt")).write_text("1\n")
    git("add", "-A")
    git("commit", "-q", "-m", "one")
    (tmp_path / "a").write_text("1\n3\n4\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "moved here").rename(tmp_path / "sub" / "to there")
    (tmp_path / "sub" / "to there").write_text(long + "more\n")
    (tmp_path / "gone").unlink()
    (tmp_path / "bin").write_text("\0new")
    (tmp_path / "tab\tname").write_text("2\n")
    (tmp_path / os.fsdecode(b"b\xff.txt")).write_text("2\n")
    (tmp_path / "new\nline").write_text("n\n")
    git("add", "-A")
    git("commit", "-q", "-m", "two")
    repository = Git(tmp_path)
    found = {c.path: (c.was, c.added, c.removed) for c in counted(repository, "HEAD^", "HEAD")}
    assert found == {
        "a": ("a", 2, 1),
        os.fsdecode(b"b\xff.txt"): (os.fsdecode(b"b\xff.txt"), 1, 1),
        "bin": ("bin", None, None),
        "gone": ("gone", 0, 1),
        "new\nline": ("", 1, 0),
        "sub/to there": ("moved here", 1, 0),
        "tab\tname": ("tab\tname", 1, 1),
    }
    changes = {c.path: c for c in counted(repository, "HEAD^", "HEAD")}
    assert changes["gone"].new == changes["new\nline"].old == ""
    assert repository.blobs([changes["a"].new])[changes["a"].new] == b"1\n3\n4\n"
    assert counted(repository, "HEAD", "HEAD") == []
    with pytest.raises(GitError):
        counted(repository, "0" * 40, "HEAD")
    assert understood("a.py")
    assert not understood("a.txt")
