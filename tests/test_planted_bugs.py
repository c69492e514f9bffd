"""The bugs that ``make mutants`` plants are edits of lines which must still be there."""

from __future__ import annotations

from tests.plant_bugs import BUGS, REPOSITORY, TESTS


def test_every_planted_bug_has_its_line_once() -> None:
    found = {(name, line): (REPOSITORY / "agentjobs" / name).read_text().count(line) for name, line, _ in BUGS}
    assert {place: count for place, count in found.items() if count != 1} == {}


def test_every_planted_bug_has_tests_that_may_find_it() -> None:
    assert {name for name, _, _ in BUGS} <= set(TESTS)
    assert [test for tests in TESTS.values() for test in tests if not (REPOSITORY / "tests" / test).is_file()] == []
