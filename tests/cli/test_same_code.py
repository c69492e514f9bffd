"""`agentjobs same-code` and `agentjobs debt`, by themselves and as the checks of a task."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from agentjobs.cli.main import _run
from tests.kit.repositories import make_repository, sh, write

if TYPE_CHECKING:
    from pathlib import Path

    import click

JS = "const b = require('./b.js');\nfunction f(a) { return b(a) === 1; }\nmodule.exports = f;\n"
TS = "import b = require('./b.ts');\nfunction f(a: any): boolean { return b(a) === 1; }\nexport = f;\n"
TEST = "it('a', () => { assert(f(1)) })\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task's tree whose base has lib/a.js, a test and settings."""
    tree = tmp_path / "tree"
    files = {"lib/a.js": JS, "lib/b.js": "module.exports = 1\n", "test/a.test.js": TEST,
             "tsconfig.json": '{"compilerOptions": {"strict": true}}'}  # fmt: skip
    base = make_repository(tree, files).resolve("HEAD")
    monkeypatch.chdir(tree)
    monkeypatch.setenv("AGENTJOBS_BASE_COMMIT", str(base))
    monkeypatch.setenv("AGENTJOBS_FILES", "lib/a.js\nlib/a.ts\ntest\n")
    return tree


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    code = _run(list(argv))
    said = capsys.readouterr()
    return code, said.out + said.err


def convert(tree: Path, text: str = TS) -> None:
    (tree / "lib/a.js").unlink()
    write(tree / "lib/a.ts", text)


def test_two_files_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.js", JS)
    write(tmp_path / "a.ts", TS)
    names = (str(tmp_path / "a.js"), str(tmp_path / "a.ts"))
    assert run(capsys, "same-code", *names) == (0, "")
    write(tmp_path / "a.ts", TS.replace("===", "=="))
    code, said = run(capsys, "same-code", *names)
    assert code == 1
    assert f"agentjobs: {tmp_path}/a.ts:2: changed in `f`" in said


def test_wrong_usage_ends_with_64(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "same-code", "lib/a.js")[0] == 64
    assert run(capsys, "same-code", "--renamed", "js=ts")[0] == 64
    assert run(capsys, "debt", "--max", "anything=3")[0] == 64
    assert run(capsys, "debt", "--max", "any=few")[0] == 64
    assert run(capsys, "debt", "--tighten", "lib/a.js")[0] == 64


def test_outside_a_task_it_says_what_is_missing(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AGENTJOBS_BASE_COMMIT")
    code, said = run(capsys, "same-code")
    assert code == 1
    assert "--base" in said


def test_a_task_is_checked_against_its_base(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "same-code")
    assert code == 1
    assert "agentjobs: lib/a.js:1: still JavaScript" in said
    assert run(capsys, "same-code", "--partly")[0] == 0
    convert(tree)
    code, said = run(capsys, "same-code", "--partly")
    assert code == 0, said
    convert_again = TS.replace("return b(a)", "return !b(a)")
    write(tree / "lib/a.ts", convert_again)
    code, said = run(capsys, "same-code", "--partly")
    assert code == 1
    assert "  - b(a) === 1" in said or "- b(a)" in said
    (tree / "lib/a.ts").unlink()
    assert "deleted, and there is no file" in run(capsys, "same-code", "--partly")[1]


def test_new_files_may_hold_types_only(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTJOBS_FILES", "lib/a.js\nlib/a.ts\nlib/types.ts")
    convert(tree)
    write(tree / "lib/types.ts", "export interface A { b: string }\n")
    assert run(capsys, "same-code")[0] == 0
    write(tree / "lib/types.ts", "export const a = 1\n")
    assert "lib/types.ts:1: new code" in run(capsys, "same-code")[1]


def test_an_agents_own_commits_and_replacements_do_not_move_the_base(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = TS.replace("===", "==")
    convert(tree, changed)
    sh(tree, "git", "add", "-A")
    sh(tree, "git", "commit", "-q", "-m", "mine")
    write(tree / "forged.js", changed)
    blob = sh(tree, "git", "rev-parse", "HEAD~1:lib/a.js")
    forged = sh(tree, "git", "hash-object", "-w", "forged.js")
    sh(tree, "git", "replace", blob, forged)
    assert run(capsys, "same-code", "--partly")[0] == 1


def test_what_was_converted_before_is_compared_with_that(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(tree)
    sh(tree, "git", "add", "-A")
    sh(tree, "git", "commit", "-q", "-m", "landed")
    monkeypatch.setenv("AGENTJOBS_BASE_COMMIT", sh(tree, "git", "rev-parse", "HEAD"))
    write(tree / "lib/a.ts", TS.replace("a: any", "a: string"))
    assert run(capsys, "same-code", "--partly")[0] == 0
    assert run(capsys, "debt", "--tighten")[0] == 0
    write(tree / "lib/a.ts", TS.replace("=== 1", "=== 2"))
    assert run(capsys, "same-code", "--partly")[0] == 1
    assert "it must be lower" in run(capsys, "debt", "--tighten")[1]


def test_debt_is_held_against_allowance_and_floor(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(tree)
    assert run(capsys, "debt", "--max", "any=1")[0] == 0
    code, said = run(capsys, "debt", "--max", "any=0")
    assert code == 1
    assert "agentjobs: any: 1, at most 0" in said
    printed = CliRunner().invoke(_command(), ["--json", "lib/a.ts"], standalone_mode=False)
    floor = json.loads(printed.output)
    assert floor["lib/a.ts"]["any"] == 1
    floor["lib/a.ts"]["any"] = 0
    write(tree / "floor.json", json.dumps(floor))
    code, said = run(capsys, "debt", "--floor", "floor.json")
    assert code == 1
    assert "lib/a.ts:1: any: 1, the floor is 0" in said


def _command() -> click.Command:
    from agentjobs.cli.debt import command

    return command


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("lib/a.ts", "// @ts-ignore\n" + TS, "ignore: 1, at the base 0"),
        ("lib/a.ts", "// @ts-expect-error TS2304\n" + TS, "hiding: 1, at the base 0"),
        ("lib/a.ts", TS.replace("export = f", ""), "no longer exports"),
        ("test/a.test.js", TEST.replace("it(", "it.skip("), "1 tests skipped"),
        ("test/a.test.js", "", "0 tests, there were 1"),
        ("tsconfig.json", "{}", "`strict` was turned off"),
    ],
)
def test_what_weakens_the_project_is_refused(
    tree: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, says: str
) -> None:
    convert(tree)
    assert run(capsys, "debt")[0] == 0
    write(tree / name, text)
    code, said = run(capsys, "debt")
    assert code == 1
    assert says in said
