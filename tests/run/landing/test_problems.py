"""Problems in real outputs of tools (fixtures/gate), and whose they are."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.run.landing.problems import BLAME_CHARS, Problem, attribute, find

GATE = Path(__file__).parents[2] / "fixtures" / "gate"
TREE = "/srv/project/.agentjobs/trees/gate"

LINT = [("t_lint/a.js", 3), ("t_lint/a.js", 3), ("t_lint/a.js", 4), ("t_lint/syn.js", 1), ("t_lint/warnonly.js", 2)]
TYPES = [
    ("t_ts/a.ts", 1, "t_ts/b"),
    ("t_ts/a.ts", 2),
    ("t_ts/a.ts", 3),
    ("t_ts/a.ts", 6),
    ("t_ts/b.ts", 2, "t_ts/gone"),
]


def cart(name: str, lib: str, *lines: int) -> list[tuple[object, ...]]:
    """Return what the four failing tests of a file come to: an assertion, and errors thrown one and two calls below."""
    price, own = f"{lib}price{Path(name).suffix}", f"{lib}cart{Path(name).suffix}"
    stacks = [[name], [price, own, name], [own, name], [own, name]]
    return [(name, line, *stack) for line, stack in zip(lines, stacks, strict=True)]


PY = "tests/test_cart.py"
UNIT = "tests/unit.py"
RUFF = [("lib/half.py", 2), ("lib/half.py", 2), *(("lib/typed.py", line) for line in (1, 2, 6))]
PYTEST = [
    (PY, 10, "lib/cart.py", PY),
    (PY, 14, PY),
    (PY, 18, "lib/price.py", "lib/cart.py", PY),
    (PY, 27, PY),
]
MOCHA = [*cart("t_mocha/cart.test.js", "lib/", 5, 6, 8, 10), ("t_mocha/slow.test.js", 0, "t_mocha/slow.test.js")]
NODE = [
    *cart("t_node/cart.test.js", "lib/", 6, 7, 9, 11),
    ("t_node/slow.test.js", 6),
    ("t_node/slow.test.js", 5),
    ("t_node/half.test.js", 4, "lib/half.js", "t_node/half.test.js"),
    ("t_node/missing.test.js", 4, "lib/gone", "t_node/missing.test.js"),
]
FOUND: dict[str, list[tuple[object, ...]]] = {
    "tsc": [*TYPES],
    "tsc-pretty": [*TYPES],
    "eslint-stylish": [*LINT],
    "eslint-stylish-color": [*LINT],
    "eslint-unix": [*LINT],
    "eslint-compact": [*LINT],
    "jest": [
        *cart("t_jest/cart.test.js", "lib/", 5, 6, 8, 10),
        ("t_jest/slow.test.js", 4, "t_jest/slow.test.js"),
        ("t_jest/missing.test.js", 3, "lib/gone", "t_jest/missing.test.js"),
        ("t_jest/half.test.js", 3, "lib/half.js", "t_jest/half.test.js"),
    ],
    "vitest": [
        ("t_vitest/half.test.mjs", 0, "src/half.mjs"),
        ("t_vitest/missing.test.mjs", 2, "src/gone.mjs", "t_vitest/missing.test.mjs"),
        *cart("t_vitest/cart.test.mjs", "src/", 4, 5, 7, 9),
        ("t_vitest/slow.test.mjs", 3, "t_vitest/slow.test.mjs"),
    ],
    "mocha-spec": [*MOCHA],
    "mocha-dot": [*MOCHA],
    "mocha-syntax": [("t_mocha/half.test.js", 3, "lib/half.js", "t_mocha/half.test.js")],
    "mocha-missing": [("t_mocha/missing.test.js", 3, "lib/gone", "t_mocha/missing.test.js")],
    "node-spec": NODE,
    "node-tap": NODE,
    "node-esm": [("lib_esm.mjs", 1, "lib/exp.mjs", "lib_esm.mjs")],
    "node-esm-missing": [("lib_esm2.mjs", 0, "lib/gone.mjs", "lib_esm2.mjs")],
    "pytest": [*PYTEST],
    "pytest-short": [*PYTEST],
    "pytest-native": [*PYTEST],
    "pytest-line": [("lib/price.py", 6), (PY, 27)],
    "pytest-collect": [
        ("tests/test_gone.py", 1, "tests/test_gone.py", "lib/gone.py"),
        ("tests/test_half.py", 1, "lib/half.py", "tests/test_half.py"),
        ("tests/test_name.py", 1, "tests/test_name.py", "lib/cart.py"),
    ],
    "unittest": [(UNIT, 7, "lib/price.py", "lib/cart.py", UNIT), (UNIT, 10, UNIT)],
    "ruff-full": [*RUFF],
    "ruff-concise": [*RUFF],
    "mypy": [("lib/typed.py", 6)],
}  # fmt: skip


def output(name: str, tree: str = TREE) -> bytes:
    return (GATE / f"{name}.txt").read_bytes().replace(b"{TREE}", tree.encode())


def brief(problems: tuple[Problem, ...]) -> list[tuple[object, ...]]:
    return [(problem.file, problem.line, *problem.frames) for problem in problems]


def test_every_recorded_output_is_looked_at() -> None:
    assert {path.stem for path in GATE.glob("*.txt")} == FOUND.keys()


@pytest.mark.parametrize("name", FOUND)
def test_problems_of_a_real_output(name: str) -> None:
    assert brief(find(output(name), tree_dir=TREE)) == FOUND[name]


@pytest.mark.parametrize("name", ["jest", "vitest", "node-tap", "mocha-syntax", "pytest-collect", "eslint-stylish"])
@pytest.mark.parametrize("printed", ["/private" + TREE, "/data/disk2" + TREE[4:]])
def test_the_tree_is_known_by_its_real_path(name: str, printed: str) -> None:
    assert brief(find(output(name, printed), tree_dir=TREE)) == FOUND[name]


def test_another_directory_that_ends_alike_is_elsewhere() -> None:
    # Two parts of three: a neighbouring tree is not this one.
    assert find(b"/srv/project/.agentjobs/trees/other/lib/a.js:3:5: error: no", tree_dir=TREE) == ()
    assert brief(find(b"/w/lib/a.js:3:5: error: no", tree_dir="/w")) == [("lib/a.js", 3)]
    assert find(b"/v/w/lib/a.js:3:5: error: no", tree_dir="/w") == ()


def test_the_text_says_it_whole() -> None:
    by_line = {problem.line: problem.text for problem in find(output("tsc"))}
    assert by_line[6].splitlines()[1:] == [
        "  Types of property 'a' are incompatible.",
        "    Type 'number' is not assignable to type 'string'.",
    ]
    thrown = find(output("jest"), tree_dir=TREE)[1].text
    assert "RangeError: negative price: -1" in thrown
    assert "refuses negative prices" in thrown
    assert "counts" not in thrown


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("src/a.c:3:5: error: expected ';'", [("src/a.c", 3)]),
        ("src/a.c:3:5: fatal error: x.h: No such file", [("src/a.c", 3)]),
        ("src/a.c:3:5: warning: unused variable", []),
        ("src/a.c:3:5: note: declared here", []),
        ("./pkg/a.go:3:5: undefined: x", [("pkg/a.go", 3)]),
        ("error[E0425]: no x here\n  --> src/a.rs:3:5\n   |\n3  | x", [("src/a.rs", 3)]),
        ("warning: unused\n  --> src/a.rs:3:5", []),
        ("thread 'main' panicked at src/a.rs:3:5:\nboom", [("src/a.rs", 3)]),
        ("panic: boom\n\ngoroutine 1 [running]:\nmain.f()\n\t{TREE}/pkg/a.go:7 +0x1d", [("pkg/a.go", 7, "pkg/a.go")]),
        ("src\\a.ts(3,5): error TS1005: ';' expected.", [("src/a.ts", 3)]),
        ("app/(group)/[id]/page.tsx(3,5): error TS1005: ';' expected.", [("app/(group)/[id]/page.tsx", 3)]),
        ("node_modules/x/a.ts(3,5): error TS1005: ';' expected.", []),
        ("../other/a.ts(3,5): error TS1005: ';' expected.", []),
        ("error TS5023: Unknown compiler option 'x'.", []),
        ("12:30:45: it is late", []),
        ("http://localhost.test:80:1: error: refused", []),
        ("Error: boom\n    at f (node:internal/x.js:1:2)\n    at g ({TREE}/node_modules/x/a.js:1:2)", []),
        ("Error: boom\n    at f (/usr/lib/a.js:1:2)\n    at async file://{TREE}/ab.mjs:3:4", [("ab.mjs", 3, "ab.mjs")]),
        ("Error: boom\n    at async Promise.all (index 0)\n    at new A (lib/a.js:3:4)", [("lib/a.js", 3, "lib/a.js")]),
        ("ok 1 - fine\nnot ok 2 - later # TODO\n  ---\n  location: 'lib/a.test.js:3:4'\n  ...", []),
    ],
)  # fmt: skip
def test_other_tools(said: str, found: list[tuple[object, ...]]) -> None:
    assert brief(find(said.replace("{TREE}", TREE).encode(), tree_dir=TREE)) == found


@pytest.mark.parametrize(
    "talk",
    [
        "  console.error\n    Error: only said\n\n      at f (lib/innocent.js:3:4)\n\n",
        "PASS t/b.test.js\n  ● Console\n\n    console.error\n      Error: x\n\n      at f (lib/innocent.js:3:4)\n\n",
        "stderr | t/b.test.js > it\nError: only said\n    at f (lib/innocent.js:3:4)\n\n",
        "Error: only said\n    at f (lib/innocent.js:3:4)\n\n",
    ],
)
def test_what_passing_tests_print_is_no_problem(talk: str) -> None:
    failed = "FAIL t/a.test.js\n  ● it\n\n    Error: boom\n\n      at f (lib/a.js:1:2)\n\n"
    expected = [("t/a.test.js", 0, "lib/a.js")]
    assert brief(find((talk + failed).encode())) == expected
    assert brief(find((failed + talk).encode())) == expected


def test_heads_above_one_stack_share_it() -> None:
    said = " FAIL  a.test.ts > x\n FAIL  b.test.ts > y\nError: boom\n \u276f f a.ts:1:2\n \u276f t.ts:3:4\n⎯⎯⎯⎯⎯[1/2]\n"
    assert brief(find(said.encode())) == [("a.test.ts", 0, "a.ts", "t.ts"), ("b.test.ts", 0, "a.ts", "t.ts")]


def test_patterns_of_ones_own() -> None:
    own = [r"^BAD (?P<file>\S+) at (?P<line>\d+): (?P<text>.*)", r"^broken: (?P<file>\S+)"]
    said = b"BAD lib/a.x at 7: it is bad\nbroken: lib/b.x\nbroken: node_modules/b.x\nfine: lib/c.x\n"
    found = find(said, patterns=own)
    assert [(p.file, p.line, p.text) for p in found] == [("lib/a.x", 7, "it is bad"), ("lib/b.x", 0, "broken: lib/b.x")]
    with pytest.raises(re.error):
        find(b"", patterns=["("])


OWNERS = {"lib/price.js": "T1", "lib/price.ts": "T1", "lib/cart.js": "T2", "lib/cart.ts": "T2", "lib/gone.ts": "T3"}


def failed(*frames: str, file: str = "t/a.test.js") -> Problem:
    return Problem(file, 1, "it failed", frames)


@pytest.mark.parametrize(
    ("problem", "owner"),
    [
        (failed(file="lib/cart.ts"), "T2"),
        (failed("lib/price.js", file="lib/cart.ts"), "T2"),
        (failed("lib/price.js", "t/a.test.js"), "T1"),
        (failed("lib/other.js", "lib/price.js", "lib/price.ts"), "T1"),
        (failed("lib/price.js", "lib/cart.js"), None),
        (failed("lib/other.js"), None),
        (failed(), None),
        (failed("lib/gone"), "T3"),
        (failed("/tmp/check-tests-Ab12/lib/cart.js"), "T2"),
        (failed("/private/var/folders/x/y/T/copy/erased/lib/cart.js"), "T2"),
        (failed(file="/tmp/copy/lib/cart.js"), "T2"),
        (failed("/tmp/copy/src/cart.js"), None),
    ],
)
def test_whose_a_problem_is(problem: Problem, owner: str | None) -> None:
    blamed, left = attribute([problem], OWNERS)
    assert blamed == ({owner: "it failed"} if owner else {})
    assert left == (() if owner else (problem,))


def test_a_bare_name_deep_in_a_copy_is_no_evidence() -> None:
    owners = {"index.js": "T1"}
    assert attribute([failed("/tmp/copy/index.js")], owners)[0] == {"T1": "it failed"}
    assert attribute([failed("/tmp/copy/src/index.js")], owners)[0] == {}


def test_one_red_gate_of_several_tasks() -> None:
    problems = find(output("node-spec"), tree_dir=TREE)
    blamed, left = attribute(problems, {"lib/half.js": "H", "lib/half.ts": "H", "lib/cart.ts": "C", "lib/cart.js": "C"})
    assert blamed.keys() == {"H", "C"}
    assert "SyntaxError" in blamed["H"]
    assert "negative price" in blamed["C"]
    assert {Path(problem.file).name for problem in left} == {"cart.test.js", "missing.test.js", "slow.test.js"}


def test_what_a_task_is_told_is_bounded() -> None:
    many = [Problem("lib/cart.js", n, f"lib/cart.js({n},1): error TS{n}: something is wrong here") for n in range(999)]
    told = attribute(many, OWNERS)[0]["T2"]
    assert BLAME_CHARS // 2 < len(told) <= BLAME_CHARS


WORDS = [
    *(line for path in sorted(GATE.glob("*.txt")) for line in path.read_text().splitlines()[:60:6]),
    " ", ":", "(", ")", "1", "a.js", "/", "at ", "\x1b[", "\\", '"', "- ", "é", "\n", "\n", TREE, "/tmp/",
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=8)), max_size=15), st.sampled_from(["", "/", TREE]))
def test_anything_is_read(words: list[str], tree: str) -> None:
    for problem in find("".join(words).encode("utf-8", "surrogatepass"), tree_dir=tree):
        assert not problem.file.startswith(("./", "../"))
        assert "node_modules" not in problem.file.split("/")
        assert 0 <= problem.line < 1e9
        assert len(set(problem.frames)) == len(problem.frames)


HOSTILE = [
    ":", "a:", "1:", "(", "a(", "a (", ")", " ", "a ", "/", "/tmp/", "a/", "at ", "at a (", '"', "'", ".", "a.a", "-",
    "\u276f ", "_", "= ", "=", "[", "\x1b[", "\x1b]", "module '", "module './a/", "a.js:1:1: ", "Error: ", " > ", "// ",
    "  1:1 ", "trees/gate/", f"{TREE}/", "1 |", "⎯", "FAIL ", "not ok ", " - error", "{", "E   ", "\t/",
]  # fmt: skip


def test_no_bytes_take_long() -> None:
    """A quarter of a mebibyte of what a pattern might stumble over, in long and in short lines."""
    slowest = 0.0
    for word in HOSTILE:
        for width in (4096, 90):
            line = word * (width // len(word)) + "\n"
            began = time.process_time()
            find((line * (16384 // len(line.encode()) + 1)).encode(), tree_dir=TREE)
            slowest = max(slowest, time.process_time() - began)
    # A sixteenth of a quarter of a mebibyte each.
    assert slowest < 0.4
