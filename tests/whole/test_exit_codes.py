"""Exit codes as documented: 0, 1, 2, 3, 64; a loop must never end as "done" because of a typo."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.kit.harness import LONG_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.harness import Project


USAGE = [
    "", "pol", "poll --wiat 60", "poll extra", "poll --wait", "poll --wait soon", "poll --wait -1",
    "dispatch --only 0", "dispatch --only x", "dispatch a --only 1", "-C no-such-directory poll", "--frobnicate",
    "status --frobnicate", "prompt", "show", "logs",
]  # fmt: skip


@pytest.mark.parametrize("words", USAGE)
def test_wrong_usage_is_64(project: Project, words: str) -> None:
    project.plans(a="ok")
    done = project.run(*words.split())
    assert done.code == 64, done
    assert done.stderr.strip()
    assert done.stdout == ""
    assert not (project.root / ".agentjobs").exists()


def test_a_near_miss_is_named(project: Project) -> None:
    assert "poll" in project.run("pol", code=64).stderr


SPOILS: list[tuple[str, bytes | None, str]] = [
    ("tasks.tsv", None, "tasks.tsv"),
    ("agentjobs.toml", None, "agentjobs.toml"),
    ("agentjobs.toml", b"slots = [\n", "agentjobs.toml:"),
    ("agentjobs.toml", b"slotz = 3\n", "slots"),
    ("tasks.tsv", b"id\tstatus\na\tNOPE\n", "tasks.tsv:2"),
    ("tasks.tsv", b"id\n\xff\n", "tasks.tsv:2"),
    ("tasks.tsv", b"", "tasks.tsv"),
    ("tasks.tsv", b"id\na\na\n", "tasks.tsv:3"),
]
"""A file, what is put in its place (None: nothing), and what the one line on stderr names."""
ONLY_DISPATCH: list[tuple[str, bytes | None, str]] = [
    ("tasks.tsv", b"id\tafter\na\tb\nb\ta\n", "wait for each other"),
    ("tasks.tsv", b"id\tprofile\na\tnone\n", "none"),
]


def test_what_a_person_must_fix_is_1_and_nothing_is_changed(project: Project) -> None:
    """First before anything was dispatched, then in the middle of a run; when it is fixed, the run continues."""
    project.plans(a="ok", b="ok")
    for name, spoilt, told in (*SPOILS, *ONLY_DISPATCH):
        mendable(project, "dispatch", name, spoilt, told)
        assert not project.ledger()
    project.plans(a="sleep:0.5", b="ok")
    project.dispatch()
    for name, spoilt, told in SPOILS:
        mendable(project, "poll", name, spoilt, told)
    assert project.loop().last == 2
    assert set(project.statuses().values()) == {"DONE"}, project.story()
    assert project.starts() == {"a": 1, "b": 1}


def mendable(project: Project, command: str, name: str, spoilt: bytes | None, told: str) -> None:
    path = project.root / name
    good = path.read_bytes()
    if spoilt is None:
        path.unlink()
    else:
        path.write_bytes(spoilt)
    done = project.run(command)
    assert done.code == 1, (command, spoilt, done)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("agentjobs: ")
    assert told in lines[0]
    assert (path.read_bytes() if path.exists() else None) == spoilt
    path.write_bytes(good)


def test_poll_before_dispatch_says_so(project: Project) -> None:
    project.plans(a="ok")
    done = project.poll(code=1)
    assert "dispatch" in done.stderr
    assert not (project.root / ".agentjobs").exists()


def test_an_unknown_id_names_the_nearest(project: Project) -> None:
    project.plans(alpha="ok")
    assert "alpha" in project.run("dispatch", "alpa", code=1).stderr


def test_an_empty_table_has_nothing_left(project: Project) -> None:
    project.rows(columns=["status"])
    project.dispatch()
    assert project.poll().code == 2


def test_a_dry_run_changes_nothing(project: Project) -> None:
    project.plans(a="ok", b="ok")
    done = project.run("dispatch", "--dry-run", code=0)
    assert [line.split("\t")[0] for line in done.lines] == ["a", "b"]
    assert not (project.root / ".agentjobs").exists()
    assert project.statuses() == {"a": "", "b": ""}


def test_a_closed_pipe_is_no_error(project: Project) -> None:
    """`agentjobs poll --json | head -c 0` says nothing on stderr; the code is that of the poll."""
    project.plans(a="ok")
    project.settle()
    for args, code in ((["poll", "--json"], 2), (["status"], 0), (["dispatch"], 0), (["--help"], 0)):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-m", "agentjobs", *args],
            cwd=project.root, env=project.env, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE,
            check=False,
        )  # fmt: skip
        os.close(writer)
        assert done.stderr == b"", (args, done.stderr)
        assert done.returncode in {0, code}, (args, done.returncode)


def test_if_free_steps_back_and_a_lock_timeout_is_1(project: Project) -> None:
    project.plans(a="ok")
    project.settle()
    with (project.root / ".agentjobs" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert project.poll("--if-free").code == 0
        done = project.poll("--lock-timeout", "0.1", code=1)
        assert "another agentjobs" in done.stderr
    assert project.poll().code == 2


def test_a_read_only_table_is_1_and_intact(project: Project) -> None:
    project.plans(a="ok", b="ok")
    table = project.root / "tasks.tsv"
    before = table.read_bytes()
    table.chmod(0o444)
    done = project.run("dispatch", code=1)
    assert "read-only" in done.stderr
    assert table.read_bytes() == before
    assert not project.ledger()
    table.chmod(0o644)
    assert set(project.settle().values()) == {"DONE"}


def limited(project: Project, limit: int, *args: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program where no file may grow beyond ``limit`` bytes: as on a full disk, writes fail midway."""
    return subprocess.run(
        [sys.executable, "-m", "agentjobs", *args],
        cwd=project.root,
        # Python does not look whether all of a compiled module was written, and every start after this one would fail.
        env={**project.env, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
        check=False,
    )


def test_a_full_disk_is_1_and_the_table_is_intact(project: Project) -> None:
    project.rows(
        *({"id": f"t{n}", "plan": "@go ok" if n else "ok", "words": "x" * 1000} for n in range(5)), columns=["status"]
    )
    project.configure(slots=2)
    table = project.root / "tasks.tsv"
    before = table.read_bytes()
    assert len(before) > 4000
    done = limited(project, 4000, "dispatch")
    assert done.returncode == 1, done
    assert done.stderr.startswith(b"agentjobs: ")
    assert done.stderr.count(b"\n") == 1
    assert table.read_bytes() == before
    # Later, agents at work, the disk is full again.
    project.dispatch()
    project.poll_until(lambda: "DONE" in project.statuses().values())
    before = table.read_bytes()
    project.open()
    project.wait_for(lambda: len(project.processes()) == 0)
    done = limited(project, 4000, "poll")
    assert done.returncode == 1, done
    assert done.stderr.startswith(b"agentjobs: ")
    assert table.read_bytes() == before
    assert not list(project.root.glob(".tasks*")), "nothing half-written stays"
    # There is room again: everything continues, nothing is done twice.
    assert project.loop().last == 2
    assert list(project.statuses().values()).count("DONE") == 5
    assert set(project.starts().values()) == {1}


def test_a_module_that_was_cut_short_is_no_interruption(project: Project) -> None:
    """Python itself leaves one when the disk is full; click takes what reading it raises for Ctrl-D."""
    cache = project.directory / "compiled"
    env = {"PYTHONPYCACHEPREFIX": str(cache), "PYTHONDONTWRITEBYTECODE": "", "TMPDIR": str(project.directory)}
    project.plans(a="ok")
    project.run("status", code=0, env=env)
    (compiled,) = cache.rglob("cli/status.*.pyc")
    os.truncate(compiled, 100)
    assert "EOFError" in project.run("status", code=70, env=env).stderr


def test_interrupted_is_130_and_agents_go_on(project: Project) -> None:
    project.plans(a="@go ok")
    project.dispatch()
    project.wait_for(lambda: project.ledger())
    started = project.start("poll", "--wait", "3000")
    project.wait_for(lambda: project.waits(started.pid), what="poll waits")
    started.send_signal(signal.SIGINT)
    assert started.wait(LONG_S) == 130
    project.open()
    assert project.loop().last == 2
    assert project.starts() == {"a": 1}


def test_what_was_just_begun_is_shown_even_by_a_slow_turn(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn that has taken long enough ends, but the table does not say TODO of an agent at work."""
    from agentjobs.project import project as here
    from agentjobs.run import drive, engine

    project.plans(a="ok", b="@go ok")
    project.dispatch("a")
    project.loop()
    monkeypatch.setattr(engine, "TURN_S", 0.0)
    (project.root / ".agentjobs" / "scope.json").write_text('{"at": 1.0, "everything": true}')
    turn = drive.poll(here.Project(project.root), wait_s=0.0, lock_timeout_s=5.0)
    assert turn.running == ("b",)
    assert project.statuses()["b"] == "IN_PROGRESS"
    project.open()
    assert project.loop().last == 2


def test_from_a_directory_below_and_with_C(project: Project, tmp_path: Path) -> None:
    project.plans(a="ok")
    below = project.root / "below"
    below.mkdir()
    assert project.run("dispatch", cwd=below).code == 0
    assert project.run("-C", str(project.root), "poll", "--wait", "30", cwd=tmp_path).code in {0, 2}
    assert project.run("poll", cwd=tmp_path).code == 1
    project.loop()
