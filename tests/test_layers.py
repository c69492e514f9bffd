"""The house one can see: docs/design.md says which layer a module is in, and the code does as it says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness import LONG_S, modules_of

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "agentjobs"
DESIGN = ROOT / "docs" / "design.md"
SHOW = 2
LINES_MAX = 455
"""A module one can read in a sitting; 300 is the aim."""

ANYWHERE = {"msgspec"}
THIRD_PARTY = {
    "click", "filelock", "jinja2", "jsonschema", "msgspec", "psutil", "referencing", "rich", "tiktoken",
    "tree_sitter", "tree_sitter_javascript", "tree_sitter_typescript",
}  # fmt: skip
HEAVY = {"jinja2", "jsonschema", "referencing", "tiktoken", "psutil", "rich", "tree_sitter"}
IMPURE = {
    "asyncio", "fcntl", "os", "pathlib", "random", "secrets", "shutil", "socket", "subprocess", "tempfile",
    "threading", "time", "uuid",
}  # fmt: skip
VAGUE = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


class Import(NamedTuple):
    module: str
    line: int
    typing_only: bool


class Layer(NamedTuple):
    number: int
    homes: frozenset[str]


OUTSIDE = Layer(99, frozenset())
"""Of a module that the table does not name; one test says so, the others need not."""


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@cache
def table() -> tuple[tuple[str, ...], ...]:
    """The rows of the table of section 12 that are about Python modules."""
    section = DESIGN.read_text(encoding="utf-8").partition("## 12.")[2].partition("\n## ")[0]
    rows = [tuple(cell.strip() for cell in line.strip("| ").split("|")) for line in section.splitlines()]
    return tuple(row + ("",) * (4 - len(row)) for row in rows if re.fullmatch(r"\d+", row[0]))


@cache
def layers() -> dict[str, Layer]:
    """Each module, as a path under agentjobs/, with its layer and the libraries that live there."""
    found: dict[str, Layer] = {}
    for cells in table():
        for name in re.findall(r"`([^`]+)`", cells[1]):
            paths = PACKAGE.glob(name) if "*" in name else [PACKAGE / name]
            for path in paths:
                if path.name != "__init__.py":
                    assert name_of(path) not in found, f"{name_of(path)} is in two rows of the table"
                    found[name_of(path)] = Layer(int(cells[0]), frozenset(re.findall(r"[a-z0-9_]+", cells[3])))
    return found


@cache
def imports(path: Path) -> tuple[Import, ...]:
    """Every import of a module, those inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for statement in block.body
        for node in ast.walk(statement)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            # `from agentjobs import landing` names a module; `from agentjobs.landing import land` something in one.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [Import(name, node.lineno, id(node) in typing_only) for name in names]
    return tuple(found)


def own(name: str) -> str | None:
    """The module of ours that an import refers to, as a path under agentjobs/."""
    words = name.split(".")
    if words[0] != "agentjobs":
        return None
    while len(words) > 1:
        path = PACKAGE.joinpath(*words[1:]).with_suffix(".py")
        if path.is_file():
            return name_of(path)
        words.pop()
    return None


def test_every_module_has_its_place_in_the_table() -> None:
    there = {name_of(path) for path in MODULES}
    assert sorted(there - layers().keys()) == [], "new: give it a row in the table of docs/design.md, section 12"
    assert sorted(layers().keys() - there) == [], "gone: take it out of the table of docs/design.md, section 12"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    known = layers()
    mine = known.get(name_of(path), OUTSIDE).number
    up = []
    for found in imports(path):
        target = own(found.module)
        if found.typing_only and mine == SHOW:
            continue  # what is shown is made above; its type may be named
        if target is not None and (theirs := known.get(target, OUTSIDE).number) > mine:
            up.append(f"{name_of(path)}:{found.line} imports {target}: {mine} -> {theirs}")
    assert up == []


def test_no_module_needs_itself() -> None:
    """Within a layer modules may build on each other, but not in a circle; imports for types do not count."""
    needs = {
        name_of(path): {t for i in imports(path) if not i.typing_only and (t := own(i.module)) is not None}
        for path in MODULES
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join((*path[path.index(name) :], name))}"
        if name in done:
            return
        for target in sorted(needs[name] - {name}):
            visit(target, (*path, name))
        done.add(name)

    for name in needs:
        visit(name, ())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_third_party_libraries_stay_at_home(path: Path) -> None:
    astray = []
    for found in imports(path):
        library = found.module.split(".")[0]
        known = library in sys.stdlib_module_names or library in THIRD_PARTY | {"agentjobs", "tiktoken_ext"}
        assert known, f"{name_of(path)}:{found.line}: {library} is no dependency"
        if library in THIRD_PARTY - ANYWHERE and library not in layers().get(name_of(path), OUTSIDE).homes:
            astray.append(f"{name_of(path)}:{found.line} imports {library}")
    assert astray == []


PURE = [path for path in MODULES if layers().get(name_of(path), OUTSIDE).number == 1]


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_the_pure_core_has_no_clock_no_disk_and_no_chance(path: Path) -> None:
    allowed = {"pathlib"} if name_of(path) == "tokens/count.py" else set()  # its vocabulary, a part of the program
    impure = [f"{i.module} (line {i.line})" for i in imports(path) if i.module.split(".")[0] in IMPURE - allowed]
    assert impure == []


def test_the_table_gives_every_dependency_a_home() -> None:
    homes = {home for cells in table() for home in re.findall(r"[a-z0-9_]+", cells[3])}
    assert homes == THIRD_PARTY - ANYWHERE


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_small_and_well_named(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LINES_MAX, f"{name_of(path)} has {lines} lines: split it"
    assert path.stem not in VAGUE


IMPORT_EACH_ALONE = """
import importlib, os, sys, traceback
others, ours = (words.split(",") for words in sys.argv[1:])
for name in others:  # once for all: they take longest, and nothing of ours hangs on what came before
    importlib.import_module(name)
assert "agentjobs" not in sys.modules
failed = []
for name in ours:
    pid = os.fork()
    if pid == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        failed.append(name)
sys.exit(f"cannot be imported alone: {failed}" if failed else 0)
"""


def test_every_module_imports_alone_without_a_warning() -> None:
    names = [".".join(("agentjobs", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in MODULES]
    names = [name for name in names if name != "agentjobs.__main__"]
    others = {i.module.split(".")[0] for path in MODULES for i in imports(path)} - {"agentjobs", "__future__"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_EACH_ALONE, ",".join(sorted(others)), ",".join(names)],
        cwd=ROOT, capture_output=True, text=True, timeout=LONG_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# --- start-up time is a feature: what a command does not need, it does not import --------------------------

def imported_by(cwd: Path, *argv: str) -> tuple[int, set[str]]:
    """Run the program; its exit code and the heavy libraries it has imported by its end."""
    code, modules = modules_of(cwd, *argv)
    return code, HEAVY & modules


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without trees whose agent works until the file `go` is there."""
    (tmp_path / "agentjobs.toml").write_text(
        'slots = 1\n[workspace]\nkind = "none"\n[limits]\nstart_interval_s = 0\nmin_free_memory = "1MiB"\n'
        '[profiles.default]\nagent = "waiter"\nprompt = "prompt.md"\nrequire_change = false\n'
        '[agents.waiter]\ncommand = ["sh", "-c", "until [ -e go ]; do sleep 0.05; done"]\n'
    )
    (tmp_path / "prompt.md").write_text("wait\n")
    (tmp_path / "tasks.tsv").write_text("id\na\n")
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere psutil is how processes are looked at")
def test_a_plain_poll_imports_nothing_heavy(project: Path) -> None:
    assert imported_by(project, "dispatch")[0] == 0
    try:
        assert imported_by(project, "poll") == (0, set())
    finally:
        (project / "go").touch()
    for _ in range(20):
        code, _ = imported_by(project, "poll", "--wait", "10")
        if code:
            break
    assert code == 2
    assert imported_by(project, "poll") == (2, set())


@pytest.mark.parametrize("argv", [("--help",), ("--version",), ("poll", "--help"), ("status",)], ids=" ".join)
def test_looking_imports_nothing_heavy(project: Path, argv: tuple[str, ...]) -> None:
    _, heavy = imported_by(project, *argv)
    assert heavy == set()
