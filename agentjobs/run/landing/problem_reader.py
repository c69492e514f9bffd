"""The problems of a gate, read line by line: errors in one line, and the stacks of tests that failed. Pure.

Compilers and linters name a file and a line for each error. A test that fails names itself and, in its stack, the
files it went through; any of them may be the culprit. Both become a ``Problem``. What belongs to a failed test is a
block: it begins with a head (``FAIL``, ``●``, ``not ok``, ``1)``, ``____ test ____`` …) and ends with its stack or at
the next head. A stack without a head may be mere talk of a test that passed: it is a loose block.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.run.landing import problem_lines
from agentjobs.run.landing.problem_lines import Place, path_in_tree
from agentjobs.text.excerpt import looks_like_error

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_PROBLEMS = 2000
MOST_FRAMES = 30
MOST_LINES = 40
"""Lines of one problem's text: the first, then its end."""
FIRST_LINES = 15
MORE_LINES = 10
"""Lines below an error that say more of it."""
MOST_PLACES = 300
"""Frames of one stack that are looked at."""

_FAIL = re.compile(r"\s*FAIL\s+(?P<what>\S.*)")
_DURATION = re.compile(r" \([\d.]+ m?s\)$")
_JEST = re.compile(r"  ● \S")
_NODE = re.compile(r"test at (?P<file>\S.*?):(?P<line>\d+):\d+$")
_TAP = re.compile(r"\s*not ok \d+")
_TAP_EXCUSED = re.compile(r"# (?:TODO|SKIP)\b", re.IGNORECASE)
_TAP_PLACE = re.compile(r"\s+location: '(?P<file>[^']+?):(?P<line>\d+):\d+'$")
_MOCHA = re.compile(r"\s+\d+\) |\s?Exception during run:")
_PYTHON = re.compile(r"_{3,} (?:ERROR collecting (?P<file>\S+)|.*\S) _{3,}$|(?:ERROR|FAIL): \w+ \(")
_SUMMARY = re.compile(r"(?:FAILED|ERROR) (?P<file>[^\s:]+\.py)(?:::.*| - .*)?$")
_QUIET = re.compile(
    r"\s*console\.(?:log|error|warn|info|debug|trace)$|  ● Console$|(?:stdout|stderr) \| |-{3,} Captured .* -{3,}$"
    r"|=+ warnings summary"
)
"""What follows was printed by tests, not about them."""
_END = re.compile(
    r"PASS |Test Suites:|Node\.js v|Ran \d+ test|\s*# Subtest: |\s*ok \d+|\s+\.\.\.$|⎯{5,}|\s*[✖✔▶\u2139] "
    r"|=+ .* =+$|={20,}$"
)
_STACK = re.compile(r"\s*(?:at (?:.*\()?\S+:\d+(?::\d+)?\)?|at .*\(<anonymous>\)|\u276f \S.*:\d+:\d+)$|\t\S+\.go:\d+")
_SOURCE = re.compile(r"\s*\d*\s*\||[\s~^|]*$")
"""A line of source that is shown, or a mark below it."""
_TRACEBACK = "Traceback (most recent call last):"
_TOLD_ELSEWHERE = ("'test failed'", "'subtestsFailed'", "subtest failed'", "subtests failed'")
"""Node's words for a failure that is reported in full somewhere else."""


class Problem(Struct, frozen=True):
    """One error or failed test: the file it is in, and the lines that say it.

    Paths are POSIX, from the top of the tree; one in a scratch directory (tests that run on a copy) is absolute.
    ``line`` is 0 if it is unknown. ``frames`` are the files of the stack, the one that threw first, each once;
    before them come modules the error names, perhaps without their ending.
    """

    file: str
    line: int
    text: str
    frames: tuple[str, ...] = ()


@dataclass
class _Block:
    head: Place | None = None
    loose: bool = False
    python: bool = False
    tap: bool = False
    stack: bool = False
    """A line of its stack has been read."""
    lines: list[str] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    modules: list[tuple[str, str]] = field(default_factory=list)

    def add(self, line: str) -> None:
        if len(self.lines) >= MOST_LINES:
            del self.lines[FIRST_LINES]
        self.lines.append(line)

    def read(self, line: str) -> None:
        self.add(line)
        self.stack = self.stack or _STACK.match(line) is not None
        if self.tap and self.head is None and (found := _TAP_PLACE.match(line)):
            path = path_in_tree(found["file"])
            self.head = Place(path, int(found["line"][:9])) if path else None
            return
        self.python = self.python or line.startswith(_TRACEBACK)
        place = problem_lines.python_frame(line) if self.python else problem_lines.frame(line, bare=self.tap)
        place = place or problem_lines.diagnostic(line) or problem_lines.mentioned(line)
        if len(self.places) < MOST_PLACES:
            self.places += [place] if place else []
            if not place and (required := problem_lines.required_by(line)):
                self.places.append(Place(required))
        if not place and len(self.modules) < MOST_FRAMES:
            self._read_module(line)

    def _read_module(self, line: str) -> None:
        if name := problem_lines.python_module(line):
            self.modules.append((name, ""))
        elif named := problem_lines.module(line):
            self.modules.append(named)
            if importer := path_in_tree(named[1]):
                self.places.append(Place(importer))

    def problem(self) -> Problem | None:
        # Python prints the oldest call first.
        places = self.places[::-1] if self.python else self.places
        own = self.head or (places[-1] if places else None)
        if own is None:
            return None
        thrower = places[0].file if places else own.file
        named = [problem_lines.joined(path_in_tree(importer) or thrower, name) for name, importer in self.modules]
        files = dict.fromkeys([*filter(None, named), *(place.file for place in places)])
        line = next((place.line for place in reversed(places) if place.file == own.file and place.line), own.line)
        text = "\n".join(self.lines).strip("\n")
        return Problem(own.file, line, text, tuple(files)[:MOST_FRAMES])


class Reader:
    """Lines in, problems out; each line is looked at once."""

    def __init__(self, patterns: Sequence[re.Pattern[str]] = ()) -> None:
        self._patterns = patterns
        self._found: dict[tuple[object, ...], Problem] = {}
        self._loose: list[Problem] = []
        self._weak: dict[str, Problem] = {}
        self._blocks: list[_Block] = []
        self._quiet = False
        self._suite: Place | None = None
        self._paragraph: list[str] = []
        self._listing: str | None = None
        """The file that a paragraph's first line names."""
        self._told: tuple[object, ...] | None = None
        """The error that the lines below it, indented, say more of."""

    def feed(self, line: str) -> None:
        """Read one line, without its end."""
        # Node's TAP shows as comments what a test file wrote.
        line = line[2:] if line.startswith("# ") and not line.startswith("# Subtest: ") else line
        if self._own_pattern(line) or self._head(line):
            self._paragraph = [line] if _FAIL.match(line) else []
            return
        if not self._quiet:
            if not self._blocks:
                self._outside(line)
            if self._blocks:
                self._inside(line)
        if not self._paragraph:
            self._listing = path_in_tree(line)
        self._paragraph = [*self._paragraph[1 - MOST_LINES :], line] if line.strip() else []

    def result(self) -> tuple[Problem, ...]:
        """Return what was found in all."""
        self._close()
        sure = bool(self._found or self._weak)
        for problem in self._loose:
            # A loose stack counts where a summary names its test, or where there is nothing else.
            if problem.file in self._weak or not sure:
                self._keep(problem)
        told = {problem.file for problem in self._found.values()}
        for problem in self._weak.values():
            if problem.file not in told:
                self._keep(problem)
        return tuple(self._found.values())

    def _keep(self, problem: Problem) -> tuple[object, ...] | None:
        key = (problem.file, problem.line, problem.frames or problem.text)
        if len(self._found) >= MOST_PROBLEMS or key in self._found:
            return None
        self._found[key] = problem
        return key

    def _own_pattern(self, line: str) -> bool:
        for pattern in self._patterns:
            groups = found.groupdict() if (found := pattern.search(line)) else {}
            if path := path_in_tree(groups.get("file") or ""):
                digits = groups.get("line") or ""
                number = int(digits[:9]) if digits.isascii() and digits.isdigit() else 0
                self._keep(Problem(path, number, groups.get("text") or line))
                return True
        return False

    def _head(self, line: str) -> bool:
        """Begin a block or end one; return True if the line did."""
        if _QUIET.match(line):
            self._close()
            self._quiet = True
            return True
        if _END.match(line) and not self._titled():
            self._close()
            self._quiet = False
            return True
        if found := _FAIL.match(line):
            self._suite = _test_file(found["what"])
            return self._suite is not None and self._open(_Block(self._suite), line)
        if found := _SUMMARY.match(line):
            self._close()
            if path := path_in_tree(found["file"]):
                self._weak.setdefault(path, Problem(path, 0, line))
            return True
        block = self._block(line)
        return block is not None and self._open(block, line)

    def _titled(self) -> bool:
        """Return True if a block of node:test has begun and its title has not come yet."""
        return bool(self._blocks and len(self._blocks[-1].lines) == 1 and _NODE.match(self._blocks[-1].lines[0]))

    def _block(self, line: str) -> _Block | None:
        if _JEST.match(line) and self._suite:
            return _Block(self._suite)
        if found := _NODE.match(line):
            path = path_in_tree(found["file"])
            return _Block(Place(path, int(found["line"][:9]))) if path else None
        if _TAP.match(line) and not _TAP_EXCUSED.search(line):
            return _Block(tap=True)
        if _MOCHA.match(line):
            return _Block()
        if found := _PYTHON.match(line):
            path = path_in_tree(found["file"] or "")
            return _Block(Place(path) if path else None, python=True)
        return None

    def _open(self, block: _Block, line: str) -> bool:
        # vitest puts the heads of tests that failed alike above one stack.
        alike = _FAIL.match(line) and self._blocks and self._paragraph and _FAIL.match(self._paragraph[-1])
        if not alike:
            self._close()
        self._quiet = False
        if "Exception during run:" in line:
            block.read(line)
        else:
            block.add(line)
        self._blocks.append(block)
        return True

    def _inside(self, line: str) -> None:
        block = self._blocks[-1]
        if line.strip():
            done = block.loose and block.python and block.places and line[0] not in " \t" and _TRACEBACK not in line
            block.read(line)
        else:
            done = block.stack and not block.python and not block.tap
            block.add(line)
        if done:
            self._close()

    def _close(self) -> None:
        blocks, self._blocks = self._blocks, []
        if not blocks:
            return
        body = blocks[-1]
        for block in blocks[:-1]:
            block.lines += body.lines[1:]
            block.places, block.modules = body.places, body.modules
        for block in blocks:
            problem = block.problem()
            if problem is None or "'subtestsFailed'" in problem.text:
                continue
            if block.loose:
                serious = any(looks_like_error(line) or line.startswith("goroutine ") for line in block.lines)
                self._loose += [problem] if serious else []
            elif "\n" not in problem.text or any(words in problem.text for words in _TOLD_ELSEWHERE):
                self._weak.setdefault(problem.file, problem)
            else:
                self._keep(problem)

    def _outside(self, line: str) -> None:
        above = self._paragraph[-1] if self._paragraph else ""
        if entry := problem_lines.listed(line):
            number, error, says = entry
            if self._listing and self._paragraph and error:
                self._keep(Problem(self._listing, number, f"{self._listing}:{number}: {says}"))
        elif place := problem_lines.diagnostic(line):
            self._tell(place, line)
        elif place := problem_lines.arrow(line, above):
            self._tell(place, f"{above}\n{line}")
        elif self._told and line.startswith("  ") and above and not _SOURCE.match(line):
            known = self._found[self._told]
            if known.text.count("\n") < MORE_LINES:
                self._found[self._told] = replace(known, text=f"{known.text}\n{line}")
        elif _STACK.match(line) or problem_lines.crash(line) or _is_traceback(line):
            self._blocks.append(block := _Block(loose=True))
            for earlier in self._paragraph:
                block.read(earlier)

    def _tell(self, place: Place, text: str) -> None:
        named = problem_lines.module(text)
        path = problem_lines.joined(place.file, named[0]) if named else None
        self._told = self._keep(Problem(place.file, place.line, text, (path,) if path else ()))


def _is_traceback(line: str) -> bool:
    return line.startswith(_TRACEBACK) or line.lstrip().startswith('File "')


def _test_file(what: str) -> Place | None:
    """Return the file that ``FAIL`` names: before ``> test`` or ``[ file ]``, after the name of a project."""
    what = _DURATION.sub("", what).partition(" > ")[0].partition(" [ ")[0].strip()
    path = path_in_tree(what.rpartition(" ")[2])
    return Place(path) if path else None
