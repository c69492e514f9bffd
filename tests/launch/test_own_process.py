"""A parent may close our streams, ignore signals and block them: exit codes, facts and steps are as ever."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agentjobs.disk import run_command
from agentjobs.model.errors import UserError
from tests.kit.harness import CHECK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.kit.harness import Project

pytestmark = pytest.mark.sample(1)

CLOSED = [" ".join(streams) for n in (1, 2, 3) for streams in itertools.combinations(("<&-", ">&-", "2>&-"), n)]
AGENTJOBS = (sys.executable, "-m", "agentjobs")

HOSTILE = """
import os, signal, sys
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Becomes the command given, with every signal ignored and blocked."""

UNTOUCHED = r"""
grep -q '^SigIgn:.0000000[01][08]0000000$' /proc/self/status && grep -q '^SigBlk:.0000000000000000$' /proc/self/status
"""
"""A check that passes where no signal is ignored (but 32 and 33, which belong to the C library) or blocked."""


def code_of(project: Project, *argv: str) -> int:
    return subprocess.run(argv, cwd=project.root, env=project.env, check=False, timeout=60).returncode


def closed(project: Project, streams: str, *words: str) -> int:
    return code_of(project, "sh", "-c", f'exec "$@" {streams}', "sh", *AGENTJOBS, *words)


def files_of(root: Path) -> dict[str, bytes]:
    wanted = [root / "tasks.tsv", root / "agentjobs.toml", *(root / ".agentjobs").glob("*.json")]
    return {path.name: path.read_bytes() for path in wanted}


def crashes(project: Project) -> list[Path]:
    return [*project.root.glob("crash-*"), *(project.root / ".agentjobs").glob("crash-*")]


@pytest.mark.sample(2)
@pytest.mark.parametrize("streams", CLOSED)
def test_closed_streams_change_no_exit_code_and_get_into_no_file(project: Project, streams: str) -> None:
    project.plans(a="ok")
    assert closed(project, streams, "dispatch") == 0
    assert closed(project, streams, "run") == 2
    assert project.statuses() == {"a": "DONE"}
    before = files_of(project.root)
    for words, code in {
        "poll": 2,
        "poll --json": 2,
        "status": 0,
        "show a": 0,
        "poll --frobnicate": 64,
        "show b": 1,
    }.items():
        assert closed(project, streams, *words.split()) == code, words
    assert files_of(project.root) == before
    assert not crashes(project)


@pytest.mark.sample(1)
@pytest.mark.parametrize("workspace", ["worktree", "clone"])
def test_signals_ignored_and_blocked_by_the_parent_reach_neither_us_nor_the_steps(
    project: Project, workspace: str
) -> None:
    verify = [CHECK, UNTOUCHED]
    project.configure(profiles={"default": {"verify": verify}}, workspace={"kind": workspace, "setup": UNTOUCHED})
    project.plans(a="ok", b="ok", c="wrong,ok")
    assert code_of(project, sys.executable, "-c", HOSTILE, *AGENTJOBS, "dispatch") == 0
    assert code_of(project, sys.executable, "-c", HOSTILE, *AGENTJOBS, "run") == 2
    assert set(project.statuses().values()) == {"DONE"}, project.story()
    for task_id in ("a", "b", "c"):
        assert project.git("show", f"agentjobs/landed:{task_id}.txt").startswith("ok")


@pytest.mark.parametrize("argv", [("false",), ("true",), ("sh", "-c", "kill -9 $$")])
def test_an_exit_code_that_cannot_be_read_is_never_success(tmp_path: Path, argv: Sequence[str]) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(UserError, match="SIGCHLD is ignored"):
            run_command.run(argv, cwd=tmp_path, check=False)
    finally:
        signal.signal(signal.SIGCHLD, before)
