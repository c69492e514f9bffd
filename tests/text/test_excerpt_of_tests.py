"""What is kept of the output of test runners: the tests that failed and why, and none that passed.

The shapes are those that node 20 (TAP and spec), tape 5, tap 16, mocha 10, jest 29, ava 5 and vitest 2 print.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from agentjobs.text.excerpt import error_excerpt, looks_like_error, signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NAMES = ["rejects invalid options", "throws an error", "fails gracefully", "is not found", "aborts", "is undefined"]
DIFF = ["{", "  a: 1,", "+ b: 2", "- b: 3", "}"]


def indented(by: int, lines: Iterable[str]) -> list[str]:
    return [" " * by + line for line in lines]


def node_tap(at: int, name: str, failed: bool) -> list[str]:
    said = ["error: |-", *indented(2, DIFF), "code: 'ERR_ASSERTION'"] if failed else ["duration_ms: 0.2"]
    return [f"# Subtest: {name}", f"{'not ' * failed}ok {at} - {name}", *indented(2, ["---", *said, "..."])]


def tape(at: int, name: str, failed: bool) -> list[str]:
    said = ["---", *indented(2, ["operator: deepEqual", "actual: |-", *indented(2, DIFF)]), "..."]
    return [f"# {name}", f"{'not ' * failed}ok {at} {name}: error is raised", *(indented(2, said) if failed else [])]


def tap_nested(at: int, name: str, failed: bool) -> list[str]:
    inner = [f"{'not ' * failed}ok 1 - error is raised"]
    if failed:
        inner += [*indented(2, ["---", "diff: |", *indented(2, DIFF), "..."]), "", "# failed 1 test"]
    return [f"# Subtest: {name}", *indented(4, [*inner, "1..1"]), f"{'not ' * failed}ok {at} - {name} # time=1ms", ""]


def mocha_tap(at: int, name: str, failed: bool) -> list[str]:
    return [f"{'not ' * failed}ok {at} {name}", *(indented(2, DIFF) if failed else [])]


def jest(at: int, name: str, failed: bool) -> list[str]:
    said = [f"FAIL test/{at}.js", f"  ● errors > {name}", "", *indented(4, DIFF), ""]
    return said if failed else [f"PASS test/error-{at}.js (5 s)"]


def spec(at: int, name: str, failed: bool) -> list[str]:
    return [f"{'✖' if failed else '✔'} {name} {at} (0.4ms)", *(indented(2, DIFF) if failed else [])]


def vitest(at: int, name: str, failed: bool) -> list[str]:
    return [f" {'×' if failed else '✓'} test/a.js > errors > {name} {at}", *(indented(3, DIFF) if failed else [])]


SHAPES: list[Callable[[int, str, bool], list[str]]] = [node_tap, tape, tap_nested, mocha_tap, jest, spec, vitest]


def log(shape: Callable[[int, str, bool], list[str]], failed: set[int], count: int = 400) -> bytes:
    lines = ["TAP version 13"] if shape not in (jest, spec, vitest) else ["> run"]
    for at in range(1, count + 1):
        lines += shape(at, f"{NAMES[at % len(NAMES)]} {at}", at in failed)
    return "\n".join([*lines, f"1..{count}", f"# pass {count - len(failed)}", f"# fail {len(failed)}"]).encode()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("failed", [{1}, {200}, {399}, {400}, {3, 150, 151, 320}])
def test_failed_tests_are_kept_with_their_details(
    shape: Callable[[int, str, bool], list[str]], failed: set[int]
) -> None:
    kept = re.sub(r" \[\d+ times\]", "", error_excerpt(log(shape, failed), 2000)).splitlines()
    for at in failed:
        name = f"{NAMES[at % len(NAMES)]} {at}"
        wanted = [line for line in shape(at, name, True) if "not ok" in line or line.lstrip()[:1] in "●✖×"]
        assert [line for line in wanted if line.strip() and line not in kept] == [], kept
    assert sum("+ b: 2" in line for line in kept) >= 1
    assert [line for line in kept[:-1] if line.lstrip().startswith(("ok ", "✓", "✔", "PASS", "# Subtest"))] == []
    assert kept[-1] == f"# fail {len(failed)}"


@pytest.mark.parametrize("shape", SHAPES)
def test_tests_that_pass_do_not_change_the_signature(shape: Callable[[int, str, bool], list[str]]) -> None:
    assert signature(log(shape, {7})) == signature(log(shape, {7}, 300)) != signature(log(shape, {8}))


def test_a_log_of_nothing_but_passed_tests_keeps_its_end() -> None:
    output = b"".join(b"ok %d - handles errors\n" % at for at in range(5000))
    assert error_excerpt(output, 500) == "[… 4999 lines left out]\nok 4999 - handles errors"


@pytest.mark.parametrize(
    "line",
    ["# Subtest: fails", "PASS test/error.js", "not ok 3 - fails # TODO later", "    ✓ throws an error", "√ no error"],
)
def test_good_news_of_runners_is_no_error(line: str) -> None:
    assert not looks_like_error(line)


@pytest.mark.parametrize("line", ["not ok 3 - is fine", "    not ok 3 # time=3ms", "  ✕ is fine", "FAIL test/a.js"])
def test_a_failed_test_is_an_error(line: str) -> None:
    assert looks_like_error(line)
