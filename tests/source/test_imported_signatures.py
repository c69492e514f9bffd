"""What files import from others of the same tree: exactly what they use, wherever it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.source.imported_signatures import Imports
from agentjobs.source.tests import looks_like_test, word_of
from agentjobs.source.tree import CommitTree, DiskTree, Mention

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.harness import Project


def told(root: Path, files: dict[str, str], *own: str) -> dict[str, list[str]]:
    """The names of the signatures of each imported file."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    tree = DiskTree(root)
    found = Imports(tree).of(tree.read(own))
    assert found == Imports(tree).of(tree.read(reversed(own))), "the order of the files says nothing"
    return {one.path: [each.name for each in one.signatures] for one in found.imported}


LIBRARY = {
    "src/util.js": "export function a() {}\nexport function b() {}\nexport default class C {}\n",
    "src/index.js": "export * from './util.js';\nexport { deep as shallow } from './deep.js';\n",
    "src/deep.js": "export const deep = () => 1;\nexport const other = 2;\n",
    "src/common.js": "exports.one = function () {};\nexports.two = 2;\nfunction own() {}\n",
}


def test_named_imports(tmp_path: Path) -> None:
    files = {**LIBRARY, "src/x.js": "import { b } from './util';\nimport fs from 'fs';\nb();\n"}
    assert told(tmp_path, files, "src/x.js") == {"src/util.js": ["b"]}


def test_defaults_and_everything(tmp_path: Path) -> None:
    files = {
        **LIBRARY,
        "x.js": "import C from './src/util.js';\nnew C();\n",
        "y.js": "import * as u from './src/util.js';\nu.a();\n",
        "z.js": "import * as u from './src/util.js';\ngive(u);\n",
        "w.js": "import './src/util.js';\n",
        "v.js": "export * from './src/util.js';\n",
    }
    assert told(tmp_path, files, "x.js") == {"src/util.js": ["default"]}
    assert told(tmp_path, files, "y.js") == {"src/util.js": ["a"]}
    assert told(tmp_path, files, "z.js") == {"src/util.js": ["a", "b", "default"]}
    assert told(tmp_path, files, "w.js") == {}
    assert told(tmp_path, files, "v.js") == {"src/util.js": ["a", "b", "default"]}


def test_an_index_is_looked_through(tmp_path: Path) -> None:
    files = {**LIBRARY, "x.js": "import { a, shallow } from './src';\n"}
    assert told(tmp_path, files, "x.js") == {"src/deep.js": ["deep"], "src/util.js": ["a"]}


def test_requires(tmp_path: Path) -> None:
    files = {
        **LIBRARY,
        "x.js": "const { one } = require('./src/common');\none();\n",
        "y.js": "const c = require('./src/common');\nc.two;\n",
        "z.js": "const c = require('./src/common');\nmodule.exports = c;\n",
        "w.js": "require('./src/common').one();\n",
        "v.js": "async () => { const { two } = await import('./src/common.js'); };\n",
    }
    assert told(tmp_path, files, "x.js") == {"src/common.js": ["one"]}
    assert told(tmp_path, files, "y.js") == {"src/common.js": ["two"]}
    assert told(tmp_path, files, "z.js") == {"src/common.js": ["one", "two"]}
    assert told(tmp_path, files, "w.js") == {"src/common.js": ["one"]}
    assert told(tmp_path, files, "v.js") == {"src/common.js": ["two"]}


def test_types_and_aliases_of_typescript(tmp_path: Path) -> None:
    files = {
        "tsconfig.json": '{ "compilerOptions": { "paths": { "@/*": ["./src/*"] } } }',
        "src/types.ts": "export interface Shown { a: string }\nexport type Id = string;\n",
        "src/x.ts": "import type { Id } from '@/types';\nimport type * as T from '@/types';\nlet a: T.Shown;\n",
        "src/old.ts": "import types = require('./types');\nlet a: types.Id;\n",
    }
    assert told(tmp_path, files, "src/x.ts") == {"src/types.ts": ["Shown", "Id"]}
    assert told(tmp_path, files, "src/old.ts") == {"src/types.ts": ["Id"]}


def test_the_tasks_own_files_are_not_told(tmp_path: Path) -> None:
    files = {**LIBRARY, "x.js": "import { a } from './src';\n"}
    assert told(tmp_path, files, "x.js", "src/util.js") == {}


def test_python(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "from .core import run\nfrom ._impl import hidden as shown\n",
        "pkg/core.py": "def run(): ...\ndef stop(): ...\n",
        "pkg/_impl.py": "def hidden(): ...\n",
        "pkg/names.py": "A = 1\nB = 2\n",
        "x.py": "from pkg import run, names, shown\nimport pkg.core as c\nprint(names.A, c.stop)\n",
        "pkg/y.py": "from . import core\nfrom .names import *\nuse(core)\n",
    }
    assert told(tmp_path, files, "x.py") == {
        "pkg/_impl.py": ["hidden"], "pkg/core.py": ["run", "stop"], "pkg/names.py": ["A"],
    }  # fmt: skip
    assert told(tmp_path, files, "pkg/y.py") == {"pkg/core.py": ["run", "stop"], "pkg/names.py": ["A", "B"]}


def test_what_cannot_be_told_is_said(tmp_path: Path) -> None:
    files = {
        "x.js": "import { gone } from './util.js';\nimport v from './v.vue';\n",
        "util.js": "export const a = 1;\n",
        "v.vue": "<template/>",
        "main.go": "package main\n",
    }
    assert told(tmp_path, files, "x.js", "main.go") == {}
    tree = DiskTree(tmp_path)
    assert Imports(tree).of(tree.read(["x.js", "main.go"])).left_out == (
        ("main.go", "imports of this kind of file are not supported"),
        ("util.js: gone", "no such export was found"),
        ("v.vue", "signatures of this kind of file are not supported"),
    )


def test_deep_files_are_left_alone(tmp_path: Path) -> None:
    files = {
        "deep.py": "A = " + "+".join(["1"] * 3000) + "\n",
        "deep.js": "export const a = " + "(" * 3000 + "1" + ")" * 3000 + ";\n",
        "x.py": "from deep import A\n",
        "x.js": "import { a } from './deep.js';\n",
    }
    assert told(tmp_path, files, "x.py", "x.js") == {}
    tree = DiskTree(tmp_path)
    left = {path for path, _ in Imports(tree).of(tree.read(["x.py", "x.js"])).left_out}
    assert left == {"deep.py", "deep.js"}


def test_a_circle_of_indexes_ends(tmp_path: Path) -> None:
    files = {"a.js": "export * from './b.js';\n", "b.js": "export * from './a.js';\nexport const b = 1;\n"}
    assert told(tmp_path, {**files, "x.js": "import { b } from './a.js';\n"}, "x.js") == {"b.js": ["b"]}


# --- where it is read from --------------------------------------------------------------------------------


def test_a_commit_and_the_disk_say_the_same(project: Project) -> None:
    files = {
        "src/parser.js": "export const parse = 1;\n",
        "test/parser.test.js": "import '../src/parser.js';\nparser\n",
        "test/fixtures.json": '"parser"\n', "src/parser-spec.js": "parser\n", "lib/__tests__/deep.ts": "x\nparser\n",
        "src/deep_test.py": "parsers\n",
    }  # fmt: skip
    for name, text in files.items():
        path = project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    project.git("add", "-A")
    project.git("commit", "-qm", "more")
    commit, disk = CommitTree(project.root, project.git("rev-parse", "HEAD")), DiskTree(project.root)
    assert commit.names == disk.names
    found = [Mention("lib/__tests__/deep.ts", (2,)), Mention("test/parser.test.js", (1, 2))]
    assert commit.tests_with(["parser"]) == disk.tests_with(["parser"]) == found
    assert commit.tests_with([]) == disk.tests_with([]) == []
    assert commit.tests_with(["nowhere-at-all"]) == []
    assert commit.read(["src/parser.js", "gone"]) == disk.read(["src/parser.js", "gone"])
    (project.root / "src/parser.js").write_text("dirty\n")
    assert commit.read(["src/parser.js"]) == {"src/parser.js": b"export const parse = 1;\n"}


def test_which_files_are_tests() -> None:
    tests = ["test_a.py", "a/b_test.go", "src/a.test.ts", "a.spec.js", "__tests__/a.js", "x/test/a.js", "tests/a.rs"]
    others = ["latest.py", "src/a.ts", "tests/data.json", "contest/a.js", "a.test.snap", "attest_a.py", "testing.py"]
    assert [path for path in tests + others if looks_like_test(path)] == tests


def test_by_which_word_a_file_is_spoken_of() -> None:
    words = {
        "src/date-utils.ts": "date-utils", "src/dates/index.js": "dates", "pkg/core/__init__.py": "core", "a.js": "",
        "types/api.d.ts": "api", "Makefile": "Makefile", "index.js": "index",
    }  # fmt: skip
    assert {path: word_of(path) for path in words} == words
