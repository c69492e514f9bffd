from __future__ import annotations

import pytest

from agentjobs.policy.presets import preset
from agentjobs.text.versions import Standing, range_of, standing, too_old, version_in


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


NODE_20 = "Node.js v20.20.2"


@pytest.mark.parametrize(
    ("name", "printed", "version"),
    [
        ("claude", "2.1.332 (Claude Code)\n", "2.1.332"),
        ("codex", "codex-cli 0.171.0\n", "0.171.0"),
        ("gemini", "0.61.0\n", "0.61.0"),
        ("opencode", "1.18.33\n", "1.18.33"),
        ("copilot", "GitHub Copilot CLI 1.0.102.\nRun 'copilot update' to check for updates.\n", "1.0.102"),
        ("qwen", "0.24.4\n", "0.24.4"),
        ("kimi", "2.1.0\n", "2.1.0"),
        ("kimi", f"(node:7) ExperimentalWarning: needs v22.19.0\n{NODE_20}\n2.1.0\n", "2.1.0"),
        ("pi", "1.6.0\n", "1.6.0"),
        ("aider", "aider 0.86.2\n", "0.86.2"),
        ("aider", "Newer aider version v0.90.0 is available.\naider 0.86.2\n", "0.86.2"),
        (
            "mini-swe-agent",
            "This is mini-swe-agent version 2.4.6.\nCheck the v2 guide\n -c model.model_kwargs.temperature=0.5\n",
            "2.4.6",
        ),
        ("mini-swe-agent", " Usage: mini [OPTIONS]\n  -c mini.yaml -c model.model_kwargs.temperature=0.5\n", ""),
    ],
)
def test_what_the_real_programs_print(name: str, printed: str, version: str) -> None:
    settings = preset(name)
    assert settings is not None
    assert version_in(printed, settings.get("version_pattern")) == version


def test_a_value_is_no_version() -> None:
    assert version_in("  -c model.temperature=0.5\n") == ""
    assert version_in("x=1.5 tool 2.5") == "2.5"
    assert version_in("version:2.5") == "2.5"


def test_versions_are_compared_by_number() -> None:
    assert too_old("20.20.2", "22.19")
    assert too_old("22.9.1", "22.19")
    assert not too_old("22.19.0", "22.19")
    assert not too_old("24.0", "22.19")
    assert not too_old("", "22.19")
