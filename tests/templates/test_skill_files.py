"""Each kind of job has a SKILL.md, and what it says can be done."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentjobs.commands.init import kinds, summary, templates_dir
from agentjobs.policy.parse import parse_policy
from agentjobs.policy.presets import preset
from tests.kit.harness import LONG_S
from tests.kit.skillfiles import DESCRIPTION_MAX, calls, code, faults, front_matter, misused
from tests.kit.templatejobs import Job

KINDS = kinds()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_skill_says_can_be_done(kind: str) -> None:
    assert list(faults(templates_dir() / kind / "SKILL.md")) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_skill_says_when_it_is_for(kind: str) -> None:
    found = front_matter((templates_dir() / kind / "SKILL.md").read_text())
    assert list(found) == ["name", "description"]
    assert found["name"] == kind
    assert " Use " in found["description"]
    assert len(found["description"]) <= DESCRIPTION_MAX


def test_a_skill_that_says_what_is_not_so_is_found(tmp_path: Path) -> None:
    text = (templates_dir() / "blank" / "SKILL.md").read_text()
    path = tmp_path / "SKILL.md"
    for name in ("agentjobs.toml", "tasks.tsv", "prompt.md.j2"):
        (tmp_path / name).touch()
    path.write_text(text)
    assert list(faults(path)) == []
    for old, new, said in (
        ("agentjobs show ID", "agentjobs tell ID", "no command tell"),
        ("dispatch --only 3", "dispatch --first 3", "agentjobs dispatch has no option --first"),
        ("--wait 60", "--wait 6", "the loop is not there"),
        ("Exit codes of `poll`:", "Codes:", "exit code 2 is missing"),
        ("`tasks.tsv` is the list", "`tools/x.py` is the list", "there is no tools/x.py"),
    ):
        path.write_text(text.replace(old, new))
        assert said in list(faults(path))


def test_calls_are_found_wherever_they_stand() -> None:
    text = "`a | agentjobs plan rows --x` and\n\n```sh\nagentjobs dispatch && agentjobs run; (agentjobs check)\n```\n"
    assert list(calls(text)) == [["dispatch"], ["run"], ["check"], ["plan", "rows", "--x"]]
    assert "agentjobs dispatch && agentjobs run; (agentjobs check)" in list(code(text))
    assert list(misused(["nothing"], {})) == ["no command nothing"]


@pytest.mark.parametrize("kind", kinds())
def test_a_kind_is_listed_with_what_it_is(kind: str, tmp_path: Path) -> None:
    listed = dict(re.split("  +", line) for line in Job(tmp_path, kind="").run("init", "--list", code=0).lines)
    assert listed[kind] == summary(kind)
    assert re.fullmatch(r"[A-Za-z].{10,120}", listed[kind])


@pytest.mark.parametrize(
    ("kind", "demo", "said"),
    [
        ("blank", False, "read SKILL.md and agentjobs.toml, fill tasks.tsv (by hand"),
        ("js-to-ts", False, "then `agentjobs plan`, which makes the tasks, then `agentjobs check`"),
        ("code-review", False, "`agentjobs dispatch`, which plans the tasks of the first phase"),
        ("knowledge-base", False, "`agentjobs dispatch`, which plans the tasks of the first phase"),
        ("phased", True, "read SKILL.md, then `agentjobs check`; the tasks are in tasks.tsv"),
        ("fix-list", True, "read SKILL.md, fill tasks.tsv"),
    ],
)
def test_init_says_who_makes_the_tasks(kind: str, demo: bool, said: str, tmp_path: Path) -> None:
    job = Job(tmp_path, kind="", demo=demo)
    done = job.run("init", kind, *(["--demo"] if demo else []), code=0)
    assert said in done.stderr.splitlines()[-1]
    first = job.run("check").lines[0] if kind == "knowledge-base" else ""
    assert not first or "those of the phases (analyse, normalise, cluster, digest, merge, write, assemble)" in first


@pytest.mark.parametrize("text", ["phases = 1\n[[", "[plan\n"])
def test_init_beside_settings_that_are_wrong_still_says_what_is_next(text: str, tmp_path: Path) -> None:
    job = Job(tmp_path, kind="", demo=False)
    (job.root / "agentjobs.toml").write_text(text)
    assert job.run("init", code=0).stderr.splitlines()[-1].startswith("next: ")


@pytest.mark.parametrize(
    ("kind", "script"), [("fix-list", "findings.py"), ("code-review", "modules.py"), ("", "plan.py")]
)
def test_rows_that_are_only_looked_at_end_quietly(kind: str, script: str, tmp_path: Path) -> None:
    job = Job(tmp_path, kind=kind, files={"a.py": "x = 1\n"}, demo=False)
    if not kind:
        job.run("skill", "one", "--task", "Do.", "--input", "*.py", "--check", "true", "--dir", ".", code=0)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone:  # nobody reads any more, as after `| head -3`
        done = subprocess.run(
            [sys.executable, f"tools/{script}"], cwd=job.root, input=b"a.py:1:1: W1 one\n", stdout=gone,
            stderr=subprocess.PIPE, timeout=LONG_S, check=False,
        )  # fmt: skip
    assert b"Error" not in done.stderr
    assert done.returncode == -signal.SIGPIPE


@pytest.mark.parametrize("kind", kinds())
def test_settings_are_short_valid_and_explained(kind: str) -> None:
    data = (templates_dir() / kind / "agentjobs.toml").read_bytes()
    policy = parse_policy(data, preset=preset)
    assert policy.profiles
    assert len(data.decode().splitlines()) <= 120
    assert all(len(line) <= 140 for line in data.decode().splitlines())


def test_a_demo_wants_an_empty_directory(tmp_path: Path) -> None:
    job = Job(tmp_path, kind="")
    (job.root / "mine").touch()
    assert "needs an empty directory" in job.run("init", "phased", "--demo", code=1).stderr
    (job.root / "mine").unlink()
    said = job.run("init", "blank", "--demo", code=1).stderr
    assert "blank has no demo; these have one: code-review, fix-list, phased" in said
    assert list(job.root.iterdir()) == []
