from __future__ import annotations

import pytest

from agentjobs.versions import Standing, range_of, standing, version_in


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("2.1.329 (Claude Code)\n", "2.1.329"),
        ("codex-cli 0.169.0", "0.169.0"),
        ("aider 0.86.2\n", "0.86.2"),
        ("v1.0.102", "1.0.102"),
        ("Version: 1.2-rc.1.", "1.2-rc.1"),
        ("warning: nothing here\n1.18.33\n", "1.18.33"),
        ("at node.js:1215:33", ""),
        ("5", ""),
        ("", ""),
    ],
)
def test_a_version_is_found(printed: str, version: str) -> None:
    assert version_in(printed) == version


@pytest.mark.parametrize(
    ("version", "tested", "found"),
    [
        ("1.2", ["1.2"], Standing.TESTED),
        ("1.2.0", ["1.2"], Standing.TESTED),
        ("1.10", ["1.9"], Standing.NEWER),
        ("1.9", ["1.10"], Standing.OLDER),
        ("1.5", ["1.2", "1.10"], Standing.TESTED),
        ("1.5", ["1.10", "1.2"], Standing.TESTED),
        ("2.0-beta.3", ["1.2", "1.10"], Standing.NEWER),
        ("1.11", ["1.2", "1.10"], Standing.NEWER),
        ("1.1.9", ["1.2", "1.10"], Standing.OLDER),
        ("", ["1.2"], Standing.UNKNOWN),
        ("1.2", [], Standing.UNTESTED),
        ("", [], Standing.UNTESTED),
    ],
)
def test_how_it_stands_to_those_that_were_tested(version: str, tested: list[str], found: Standing) -> None:
    assert standing(version, tested) is found


def test_the_range_in_a_word() -> None:
    assert range_of([]) == ""
    assert range_of(["1.2"]) == "1.2"
    assert range_of(["1.10", "1.9", "1.9.5"]) == "1.9..1.10"
