"""A check that cannot even start is nobody's bad work: `dispatch` refuses it, and later it halts the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kit.harness import Project


@pytest.mark.parametrize(
    ("verify", "said"),
    [
        ("rufff check .", "a check needs 'rufff', which is not on PATH"),
        ("! rufff check .", "a check needs 'rufff', which is not on PATH"),
        (".venv/bin/ruff check .", "a check needs '.venv/bin/ruff', which trees will not have"),
    ],
)
def test_dispatch_refuses_checks_that_cannot_start(project: Project, verify: str, said: str) -> None:
    (project.root / ".venv/bin").mkdir(parents=True)
    (project.root / ".venv/bin/ruff").write_text("#!/bin/sh\n")
    (project.root / ".venv/bin/ruff").chmod(0o755)
    project.configure({"profiles": {"default": {"verify": [verify]}}})
    project.plans(a="ok", b="ok")
    assert said in project.run("dispatch", code=1).stderr
    assert said in project.run("run", code=1).stderr
    assert project.ledger() == []
    project.configure(workspace={"setup": "true"})  # it may install what is missing
    project.dispatch()


def test_dispatch_refuses_an_agent_that_is_not_installed(project: Project) -> None:
    project.configure(agents={"fake": {"command": ["no-such-agent"], "resume": None}})
    project.plans(a="ok")
    assert "no program 'no-such-agent' on PATH" in project.run("dispatch", code=1).stderr


@pytest.mark.parametrize("verify", ["rufff check .", "true && rufff check ."])
def test_a_check_that_cannot_start_halts_and_costs_no_attempt(project: Project, verify: str) -> None:
    project.configure({"slots": 1, "profiles": {"default": {"verify": [verify]}}})
    project.plans(**dict.fromkeys("abcde", "ok"))
    project.run("dispatch", "--force", code=0)
    looped = project.loop()
    assert looped.last == 3
    assert "check 1 cannot start, as there is no rufff (exit 127): " in looped.stderr
    assert 1 <= len(project.ledger()) <= 2
    assert set(project.statuses().values()) <= {"TODO", ""}
    project.configure({"profiles": {"default": {"verify": ["true"]}}})
    assert set(project.settle().values()) == {"DONE"}


def test_a_program_that_the_work_removes_is_bad_work(project: Project) -> None:
    project.configure({"retry": {"repairs": 0, "resumes": 0, "restarts": 0}})
    project.configure({"profiles": {"default": {"verify": ["./check.sh"]}}})
    (project.root / "check.sh").write_text("exit 0\n")  # not executable, and in git
    project.git("add", "check.sh")
    project.git("commit", "-qm", "check")
    project.plans(a="ok")
    assert project.settle() == {"a": "FAILED"}
    assert project.outcomes("a") == ["verify_failed"]
