"""The house one can see: docs/developing.md says which room may import which, and the code does as it says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kit.harness import LONG_S, modules_of

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "agentjobs"
DEVELOPING = ROOT / "docs" / "developing.md"
LINES_MAX = 400
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
    """Of ours as a path under agentjobs/ (``core/schedule.py``), of others as a dotted name."""

    line: int


class Room(NamedTuple):
    face: frozenset[str]
    may_import: frozenset[str]
    pure: frozenset[str]
    homes: frozenset[str]


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(name: str) -> str:
    return name.partition("/")[0] if "/" in name else ""


def chosen(cell: str, names: set[str]) -> frozenset[str]:
    """What a cell means of the modules of a room: ``all``, ``all but`` some, or those that it names."""
    listed = {f"{name}.py" for name in re.findall(r"`([^`]+)`", cell)}
    assert listed <= names, f"there is no {sorted(listed - names)}"
    return frozenset(names - listed if cell.startswith("all") else listed)


@cache
def rooms() -> dict[str, Room]:
    """The rows of the table of rooms, from the ground floor up."""
    section = DEVELOPING.read_text(encoding="utf-8").partition("## The rooms")[2].partition("\n## ")[0]
    found: dict[str, Room] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if not (match := re.fullmatch(r"`(\w+)`", cells[0])):
            continue
        room = match[1]
        names = {name_of(path).partition("/")[2] for path in MODULES if room_of(name_of(path)) == room}
        below = frozenset(re.findall(r"\w+", cells[3]))
        homes = frozenset(re.findall(r"`([^`]+)`", cells[5]))
        found[room] = Room(chosen(cells[2], names), below, chosen(cells[4], names), homes)
    return found


def own(name: str) -> str | None:
    """The module of ours that an import refers to, as a path under agentjobs/."""
    words = name.split(".")
    while words[0] == "agentjobs" and len(words) > 1:
        path = PACKAGE.joinpath(*words[1:]).with_suffix(".py")
        if path.is_file():
            return name_of(path)
        words.pop()
    return None


@cache
def imports(path: Path) -> tuple[Import, ...]:
    """Every import of a module, those inside functions and for types too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            # `from agentjobs.run import drive` names a module; `from agentjobs.run.drive import turn` something in one.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [Import(own(name) or name, node.lineno) for name in names]
    return tuple(found)


def ours(path: Path) -> list[Import]:
    return [found for found in imports(path) if found.module.endswith(".py")]


def libraries(path: Path) -> list[Import]:
    return [found for found in imports(path) if not found.module.endswith(".py")]


def test_every_folder_is_a_room_and_every_room_a_folder() -> None:
    folders = sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__")
    assert sorted(rooms()) == folders, "give it a row in the table of docs/developing.md, or take its row out"
    assert {name_of(path) for path in MODULES if room_of(name_of(path)) == ""} == {"__main__.py"}


def test_every_room_says_its_duty() -> None:
    section = DEVELOPING.read_text(encoding="utf-8")
    for init in sorted(PACKAGE.rglob("__init__.py")):
        duty = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8")))
        assert duty, f"{init} does not say what the room is for"
        room = init.parent.relative_to(PACKAGE).as_posix()
        said = f"| `{room}` | {duty.splitlines()[0]} |"
        assert room not in rooms() or said in section, f"the table gives {room} another duty"


def test_the_table_goes_down() -> None:
    order = list(rooms())
    for at, (room, row) in enumerate(rooms().items()):
        assert row.may_import <= set(order[:at]), f"{room} may import only what is above it in the table"


def test_the_table_is_no_wider_than_the_code() -> None:
    """A permission or a face that nobody uses is a door left open."""
    used = {room: set[str]() for room in rooms()}
    asked = {room: set[str]() for room in rooms()}
    for path in MODULES:
        mine = room_of(name_of(path))
        for found in ours(path):
            theirs, _, inner = found.module.partition("/")
            if mine and theirs != mine:
                used[mine].add(theirs)
            if theirs != mine:
                asked[theirs].add(inner)
    for room, row in rooms().items():
        assert row.may_import == used[room], f"{room}: may import"
        assert row.face == asked[room], f"{room}: face"


@pytest.mark.parametrize("room", rooms())
def test_imports_go_down_and_to_faces(room: str) -> None:
    wrong = []
    for path in MODULES:
        if room_of(name_of(path)) != room:
            continue
        for found in ours(path):
            theirs, _, inner = found.module.partition("/")
            if theirs == room:
                continue
            if theirs not in rooms()[room].may_import:
                wrong.append(f"{name_of(path)}:{found.line}: {room} may not import {theirs}")
            elif inner not in rooms()[theirs].face:
                wrong.append(f"{name_of(path)}:{found.line}: {inner} is not in the face of {theirs}")
    assert wrong == []


def test_no_circle_between_modules() -> None:
    needs = {name_of(path): {found.module for found in ours(path)} - {name_of(path)} for path in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join((*path[path.index(name) :], name))}"
        if name in done:
            return
        for target in sorted(needs[name]):
            visit(target, (*path, name))
        done.add(name)

    for name in needs:
        visit(name, ())


def test_libraries_stay_at_home() -> None:
    astray = []
    at_home: set[str] = set()
    for path in MODULES:
        homes = rooms()[room_of(name_of(path))].homes if room_of(name_of(path)) else frozenset()
        for found in libraries(path):
            library = found.module.split(".")[0]
            known = library in sys.stdlib_module_names or library in THIRD_PARTY | {"agentjobs", "tiktoken_ext"}
            assert known, f"{name_of(path)}:{found.line}: {library} is not a dependency"
            if library in THIRD_PARTY - ANYWHERE and library not in homes:
                astray.append(f"{name_of(path)}:{found.line} imports {library}")
            at_home |= {library} & homes
    assert astray == []
    assert at_home == THIRD_PARTY - ANYWHERE == frozenset().union(*(row.homes for row in rooms().values()))


def test_what_is_pure_has_no_clock_no_disk_and_no_chance() -> None:
    impure = []
    for path in MODULES:
        room, _, inner = name_of(path).partition("/")
        if room in rooms() and inner in rooms()[room].pure:
            found = [f for f in libraries(path) if f.module.split(".")[0] in IMPURE]
            impure += [f"{name_of(path)}:{one.line} imports {one.module}" for one in found]
    assert impure == []


def test_modules_are_small_and_well_named() -> None:
    sizes = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: lines for name, lines in sizes.items() if lines > LINES_MAX} == {}, "split it"
    assert [name_of(path) for path in MODULES if path.stem in VAGUE] == []


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
    others = {i.module.split(".")[0] for path in MODULES for i in libraries(path)} - {"agentjobs", "__future__"}
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
