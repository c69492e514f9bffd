"""Where specifiers lead: paths, endings, packages, configurations, workspaces; and whole graphs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agentjobs.source.import_graph import import_graph
from agentjobs.source.javascript import Specifier
from agentjobs.source.manifests import parse_json
from agentjobs.source.resolve import Resolver
from tests.kit.repositories import write

Files = dict[str, Any]


def place(top: Path, files: Files) -> list[str]:
    """Write files (values that are not text as JSON) and return their paths."""
    for name, content in files.items():
        write(top / name, content if isinstance(content, str | bytes) else json.dumps(content))
    return [name for name in files if not name.endswith((".json", ".yaml"))]


def leads(top: Path, files: Files, specifier: str, importer: str = "a.js", *, require: bool = False) -> str | None:
    return Resolver(str(top), [*place(top, files), importer]).resolve(importer, Specifier(specifier, require))


@pytest.mark.parametrize(("there", "specifier", "expected"), [
    ("x.js", "./x.js", "x.js"), ("x.js", "./x", "x.js"), ("x.ts", "./x", "x.ts"), ("x.ts", "./x.js", "x.ts"),
    ("x.tsx", "./x.js", "x.tsx"), ("x.tsx", "./x.jsx", "x.tsx"), ("x.mts", "./x.mjs", "x.mts"),
    ("x.cts", "./x.cjs", "x.cts"), ("x.d.ts", "./x.js", "x.d.ts"), ("x.d.ts", "./x", "x.d.ts"),
    ("x.mjs", "./x", "x.mjs"), ("x.y.js", "./x.y", "x.y.js"), ("x/index.ts", "./x", "x/index.ts"),
    ("x/index.js", "./x/", "x/index.js"), ("x/index.tsx", "./x/index.js", "x/index.tsx"), ("index.js", ".", "index.js"),
    ("x.js", "./x.js?raw", "x.js"), ("x.js", "./b/../x", "x.js"), ("x.js", "././x", "x.js"),
    ("x.js", "x", None), ("x.js", "/x.js", None), ("x.js", "../x", None), ("x.js", "./X", None), ("x.ts", "./x.mjs",
    None),
    ("x.js", "node:x", None), ("x.js", "https://x", None), ("x.js", "", None), ("x.js", "../../../..", None),
])  # fmt: skip
def test_paths(tmp_path: Path, there: str, specifier: str, expected: str | None) -> None:
    assert leads(tmp_path, {there: ""}, specifier) == expected


def test_an_exact_name_goes_before_its_source_and_a_file_before_a_directory(tmp_path: Path) -> None:
    files = {"x.js": "", "x.ts": "", "y.js": "", "y/index.js": ""}
    assert leads(tmp_path, files, "./x.js") == "x.js"
    assert leads(tmp_path, files, "./y") == "y.js"
    assert leads(tmp_path, files, "./y/") == "y/index.js"
    assert leads(tmp_path, {"b/index.js": ""}, "..", "b/c/a.js") == "b/index.js"
    assert leads(tmp_path, {"index.js": ""}, "..", "b/a.js") == "index.js"


def test_a_directory_with_a_manifest(tmp_path: Path) -> None:
    assert (
        leads(tmp_path, {"b/package.json": {"main": "lib/m"}, "b/lib/m.js": "", "b/index.js": ""}, "./b")
        == "b/lib/m.js"
    )
    assert leads(tmp_path, {"c/package.json": {"main": "./gone"}, "c/index.js": ""}, "./c") == "c/index.js"
    assert leads(tmp_path, {"package.json": {"main": "./lib"}, "lib/index.js": ""}, "..", "test/a.js") == "lib/index.js"


@pytest.mark.parametrize(("exports", "specifier", "require", "expected"), [
    ("./main.js", "p", False, "main.js"),
    (["./gone.js", "./main.js"], "p", False, "main.js"),
    ({"import": "./esm.mjs", "require": "./cjs.cjs"}, "p", False, "esm.mjs"),
    ({"import": "./esm.mjs", "require": "./cjs.cjs"}, "p", True, "cjs.cjs"),
    ({"types": "./types.d.ts", "default": "./main.js"}, "p", False, "main.js"),
    ({"types": "./types.d.ts"}, "p", False, "types.d.ts"),
    ({"node": {"import": "./esm.mjs"}, "default": "./main.js"}, "p", False, "esm.mjs"),
    ({".": "./main.js", "./sub": "./lib/sub.js"}, "p/sub", False, "lib/sub.js"),
    ({"./f/*": "./lib/*.js"}, "p/f/sub", False, "lib/sub.js"),
    ({"./f/*.js": "./lib/*.js"}, "p/f/sub.js", False, "lib/sub.js"),
    ({"./*": "./gone/*.js", "./f/*": "./lib/*.js"}, "p/f/sub", False, "lib/sub.js"),
    ({"./f/": "./lib/"}, "p/f/sub.js", False, "lib/sub.js"),
    ({".": {"import": {"types": "./types.d.ts", "default": "./dist/deep.js"}}}, "p", False, "src/deep.ts"),
    ({"./d": "./dist/esm/deep.mjs"}, "p/d", False, None),
    ({".": None, "./sub": None}, "p/gone", False, None),
])  # fmt: skip
def test_exports_of_the_own_package(
    tmp_path: Path, exports: Any, specifier: str, require: bool, expected: str | None
) -> None:
    names = ["main.js", "esm.mjs", "cjs.cjs", "types.d.ts", "lib/sub.js", "src/deep.ts"]
    files: Files = {"package.json": {"name": "p", "exports": exports}} | dict.fromkeys(names, "")
    assert leads(tmp_path, files, specifier, require=require) == expected


def test_imports_of_the_own_package(tmp_path: Path) -> None:
    imports = {"#a": "./src/a.js", "#b/*": {"node": "./src/b/*.js"}, "#c": "p/src/a.js", "#loop": "#loop"}
    files: Files = {"package.json": {"name": "p", "imports": imports}, "src/a.ts": "", "src/b/c.js": ""}
    assert leads(tmp_path, files, "#a", "src/x.js") == "src/a.ts"
    assert leads(tmp_path, files, "#b/c", "src/x.js") == "src/b/c.js"
    assert leads(tmp_path, files, "#c", "src/x.js") == "src/a.ts"
    assert leads(tmp_path, files, "#loop") is None
    assert leads(tmp_path, files | {"in/package.json": {}}, "#a", "in/x.js") is None, "the nearest manifest decides"


CONFIGS: Files = {
    "tsconfig.base.json": '{ // shared\n "compilerOptions": {"baseUrl": "./lib", '
    '"paths": {"@/*": ["*"], "one": ["gone", "one.ts"],},},}',
    "app/tsconfig.json": {"extends": ["../gone.json", "../tsconfig.base"]},
    "own/tsconfig.json": {"extends": "../tsconfig.base.json",
    "compilerOptions": {"paths": {"~/*": ["${configDir}/src/*"]}}},
    "js/jsconfig.json": {"compilerOptions": {"paths": {"@/*": ["./src/*"], "@/deep/*": ["./deep/*"]}}},
    "loop/tsconfig.json": {"extends": "./tsconfig.json", "compilerOptions": {"baseUrl": "."}},
    "lib/x.ts": "", "lib/one.ts": "", "own/src/y.ts": "", "js/src/z.js": "", "js/deep/z.js": "", "loop/w.js": "",
}  # fmt: skip


@pytest.mark.parametrize(("importer", "specifier", "expected"), [
    ("app/b/a.ts", "@/x", "lib/x.ts"), ("app/a.ts", "one", "lib/one.ts"), ("app/a.ts", "x", "lib/x.ts"),
    ("own/a.ts", "~/y", "own/src/y.ts"), ("own/a.ts", "x", "lib/x.ts"), ("own/a.ts", "@/x", None),
    ("js/a.js", "@/z", "js/src/z.js"), ("js/a.js", "@/deep/z", "js/deep/z.js"), ("a.ts", "@/x", None), ("loop/a.js",
    "w", "loop/w.js"),
])  # fmt: skip
def test_the_nearest_configuration(tmp_path: Path, importer: str, specifier: str, expected: str | None) -> None:
    assert leads(tmp_path, CONFIGS, specifier, importer) == expected


@pytest.mark.parametrize("declared", [
    {"package.json": {"workspaces": ["packages/*", "!packages/not"]}},
    {"package.json": {"workspaces": {"packages": ["packages/**", "!packages/not"]}}},
    {"pnpm-workspace.yaml": "# ours\npackages:\n  - 'packages/*' # all\n  - \"!packages/not\"\ncatalog:\n  - x\n"},
    {"pnpm-workspace.yaml": 'packages: ["packages/*", "!**/not/**"]'},
    {"pnpm-workspace.yaml": "packages:\n- '{apps,packages}/*'\n- '!packages/no?'\n"},
    {"package.json": {"workspaces": ["packages/{a,b}"]}},
    {"lerna.json": {"packages": ["./packages/*/", "!packages/not"]}},
])  # fmt: skip
def test_workspaces(tmp_path: Path, declared: Files) -> None:
    files = declared | {
        "packages/a/package.json": {"name": "@o/a", "main": "dist/index.js", "types": "dist/index.d.ts"},
        "packages/a/src/index.ts": "", "packages/a/src/b.ts": "", "packages/a/lib/c.js": "",
        "packages/not/package.json": {"name": "not"}, "packages/not/index.js": "",
        "fixtures/react/package.json": {"name": "react"}, "fixtures/react/index.js": "",
    }  # fmt: skip
    for specifier, expected in [
        ("@o/a", "packages/a/src/index.ts"), ("@o/a/b", "packages/a/src/b.ts"), ("@o/a/dist/b.js",
        "packages/a/src/b.ts"),
        ("@o/a/lib/c", "packages/a/lib/c.js"), ("not", None), ("react", None), ("@o", None), ("@o/b", None),
    ]:  # fmt: skip
        assert leads(tmp_path, files, specifier, "packages/b/a.ts") == expected, specifier


def test_two_stars_also_stand_for_no_directory(tmp_path: Path) -> None:
    files: Files = {"package.json": {"workspaces": ["packages/**", "!**/test/**"]}}
    for name in ("packages", "packages/a", "packages/a/b", "packages/test", "packages/test/c", "packages/a/test/d"):
        files |= {f"{name}/package.json": {"name": name.replace("/", "-")}, f"{name}/index.js": ""}
    modules = [name for name in files if name.endswith("index.js")]
    found = [name for name in modules if leads(tmp_path, files, name.removesuffix("/index.js").replace("/", "-"))]
    assert found == ["packages/index.js", "packages/a/index.js", "packages/a/b/index.js"]


def test_a_dependency_by_path(tmp_path: Path) -> None:
    files: Files = {
        "app/package.json": {"dependencies": {"shared": "file:../shared"}},
        "shared/package.json": {"name": "other", "module": "m.js"},
        "shared/m.js": "",
    }
    assert leads(tmp_path, files, "shared", "app/a.js") == "shared/m.js"
    assert leads(tmp_path, files, "shared", "b.js") is None


def test_a_dependency_on_a_member_of_the_workspace(tmp_path: Path) -> None:
    versions = {"@o/b": "workspace:^", "by-path": "workspace:../b", "alias": "workspace:@o/b@*", "away": "^1.0.0"}
    files: Files = {
        "pnpm-workspace.yaml": "packages: [packages/*]",
        "packages/a/package.json": {"name": "a", "dependencies": versions},
        "packages/b/package.json": {"name": "@o/b", "exports": {".": "./b.js", "./sub": {"import": "./sub.js"}}},
        "packages/b/b.js": "", "packages/b/sub.js": "",
    }  # fmt: skip
    found = {name: leads(tmp_path, files, name, "packages/a/a.js") for name in (*versions, "@o/b/sub", "alias/sub")}
    b, sub = "packages/b/b.js", "packages/b/sub.js"
    assert found == {"@o/b": b, "by-path": b, "alias": b, "away": None, "@o/b/sub": sub, "alias/sub": sub}


@pytest.mark.parametrize("bad", [
    "", "{", "[]", "null", '"x"', "\0", '{"name": 3, "exports": 4, "imports": [], "workspaces": 5, "main": {}}',
    '{"dependencies": [], "workspaces": {"packages": [1]}, "compilerOptions": 3, "extends": {"a": 1}}',
    '{"compilerOptions": {"baseUrl": 3, "paths": {"a": "b", "c": [1]}}, "extends": [3]}', "[" * 100_000,
    '{"a":' * 100_000,
    '{"workspaces": ["", "/", "**/**/**/**/x", "[", "../.."]}',
])  # fmt: skip
def test_bad_manifests_say_nothing(tmp_path: Path, bad: str) -> None:
    files = dict.fromkeys(("package.json", "tsconfig.json", "lerna.json", "pnpm-workspace.yaml"), bad)
    assert leads(tmp_path, files | {"x.js": "", "d/e/f.js": ""}, "./x") == "x.js"
    for specifier in ("a", "c", "#x", "p/q"):
        assert leads(tmp_path, files | {"x.js": ""}, specifier) is None


def test_json_with_comments() -> None:
    assert parse_json('\n{"a": "// no /* comment", /* one */ "b": [1, 2,], // two\n "c": "x\\",}",}') == {
        "a": "// no /* comment", "b": [1, 2], "c": 'x",}',
    }  # fmt: skip


# --- whole graphs -----------------------------------------------------------------------------------------


def test_the_graph_of_files(tmp_path: Path) -> None:
    files = {
        "a.js": "require('./b'); require('./b.js'); require('./a'); require('./out'); require('./gone'); require('fs')",
        "b.js": "import './a.js'; import './style.css'; import './pic.png?url'; import('./d/')", "d/index.ts": "",
        "none.txt": "./a",
        "p.py": "from . import q\nfrom .gone import z\nimport a", "q.py": "",
    }  # fmt: skip
    listed = place(tmp_path, files)
    for name in ("out.js", "style.css", "pic.png"):
        write(tmp_path / name, "")
    graph = import_graph(tmp_path, [*listed, "deleted.js"])
    assert graph.edges == {
        "a.js": ("b.js",), "b.js": ("a.js", "d/index.ts"), "d/index.ts": (), "none.txt": (), "p.py": ("q.py",),
        "q.py": (),
        "deleted.js": (),
    }  # fmt: skip
    assert graph.unresolved == (("a.js", "./gone"), ("p.py", ".gone"))
    assert import_graph(tmp_path, []).edges == {}


def test_odd_files_and_names_do_not_stop_it(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff\xfe.js")
    files = ["a b.js", "ü.js", odd, "link.js", "directory.js", "circle.js", "fifo\n.js"]
    write(
        tmp_path / "a b.js",
        "require('./ü'); require('./a b.js'); require('./link'); require('./\\0'); require('./\\ud800')",
    )
    write(tmp_path / "ü.js", "import './a b'; import '" + "../" * 5_000 + "x'; import '" + "./x" * 9_000 + "'")
    write(tmp_path / odd, b"require('./a b')\xff")
    write(tmp_path / "fifo\n.js", "")
    (tmp_path / "directory.js").mkdir()
    (tmp_path / "link.js").symlink_to("a b.js")
    (tmp_path / "circle.js").symlink_to("circle.js")
    edges = import_graph(tmp_path, files).edges
    assert edges["a b.js"] == ("link.js", "ü.js")
    assert edges["ü.js"] == ("a b.js",)
    assert edges[odd] == ("a b.js",)
    assert edges["circle.js"] == edges["directory.js"] == ()
