"""``agentjobs skill``: what it writes from a few answers is a job that runs, offline, at once."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from agentjobs.policy.parse import parse_policy
from agentjobs.policy.presets import preset
from tests.kit.harness import LONG_S
from tests.kit.skillfiles import faults
from tests.kit.templatejobs import Job

pytestmark = pytest.mark.sample(1)

DOCS = {"docs/a.md": "# A\nfirst words\n", "docs/b c.md": "# B\nother words\n", "notes.txt": "not this\n"}


class Scratch(Job):
    """A repository with these files, and no job in it yet."""

    def written(self, *answers: str, start: str = "job") -> str:
        said = self.run("skill", "sum-up", *answers, "--dir", f"../{start}", code=0).stdout
        self.run("init", "--from", f"../{start}", code=0)
        self.quick()
        return said

    def planned(self) -> list[dict[str, str]]:
        self.sh("python3 tools/plan.py | agentjobs plan rows")
        assert "0 errors" in self.run("check", code=0).stdout
        return list(self.table().values())


def scratch(directory: Path, **files: str) -> Scratch:
    return Scratch(directory, files=files or DOCS, kind="", demo=False)


def test_a_job_that_changes_files_lands_what_its_checks_let_through(tmp_path: Path) -> None:
    job = scratch(tmp_path, **{"a.py": "x = 1  \n", "b.py": "y = 2 \n", "c.txt": "z \n"})
    said = job.written(
        "--task", "Take off {{ trailing }} blanks.", "--input", "**/*.py", "--check", "! grep -n ' $' $AGENTJOBS_FILES",
        "--check", 'python3 -m py_compile "$AGENTJOBS_ROW_ITEM"',
        "--stand-in", 'sed -i.bak "s/ *$//" "$AGENTJOBS_ROW_ITEM" && rm "$AGENTJOBS_ROW_ITEM.bak"',
    )  # fmt: skip
    assert [line.rpartition("job/")[2] for line in said.splitlines()] == [
        "SKILL.md", "agentjobs.toml", "prompt.md.j2", "tasks.tsv", "tools/plan.py", "tools/agent.py",
        "tools/check-1.sh", "tools/check-2.sh",
    ]  # fmt: skip
    assert list(faults(tmp_path / "job" / "SKILL.md")) == []
    rows = job.planned()
    assert [(row["item"], row["files"]) for row in rows] == [("a.py", "a.py"), ("b.py", "b.py")]
    prompt = job.run("prompt", rows[0]["id"], code=0).stdout
    assert "# a.py\n\nTake off {{ trailing }} blanks.\n" in prompt
    assert "! grep -n ' $' $AGENTJOBS_FILES\n" in prompt
    assert set(job.settled().values()) == {"DONE"}
    assert (job.landed("a.py"), job.landed("b.py")) == ("x = 1", "y = 2")
    job.sh("python3 tools/plan.py | agentjobs plan rows")
    assert set(job.statuses().values()) == {"DONE"}, "planned again, what is done stays"


def test_a_job_that_writes_needs_no_repository(tmp_path: Path) -> None:
    job = scratch(tmp_path)
    job.written(
        "--task", "Sum it up.", "--input", "docs/*.md", "--output", "out/{id}.md", "--no-land",
        "--check", 'grep -q words "$AGENTJOBS_ROW_OUTPUT"',
    )  # fmt: skip
    subprocess.run(["rm", "-rf", job.root / ".git"], check=True)
    rows = job.planned()
    assert [row["docs"] for row in rows] == ["docs/a.md", "'docs/b c.md'"]
    assert "Read:\n\n- `docs/b c.md`\n" in job.run("prompt", rows[1]["id"], code=0).stdout
    assert set(job.settle().values()) == {"DONE"}
    assert "first words" in (job.root / rows[0]["output"]).read_text()


@pytest.mark.parametrize("source", ["lines", "command:printf 'one\\ntwo\\n'"])
def test_strict_checks_let_nothing_of_the_stand_in_through(tmp_path: Path, source: str) -> None:
    job = scratch(tmp_path)
    job.written("--task", "Do it", "--input", source, "--check", 'test "$AGENTJOBS_ROW_ITEM" = one')
    if source == "lines":
        (job.root / "items.txt").write_text("# items\none\n\ntwo\n")
    for name in ("resumes", "repairs", "restarts"):
        job.policy(f"{name} = . ", f"{name} = 0 ")
    rows = {row["id"]: row["item"] for row in job.planned()}
    assert {rows[task_id]: status for task_id, status in job.settle().items()} == {"one": "DONE", "two": "FAILED"}
    assert len(job.landings()) == 1


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    job = scratch(tmp_path)
    answers = ("--task", "a", "--input", "*", "--check", "true")
    job.written(*answers)
    (tmp_path / "job/SKILL.md").write_text("mine\n")
    again = job.run("skill", "sum-up", *answers, "--dir", "../job", code=0)
    assert again.stdout == ""
    assert "../job/SKILL.md already exists and was not changed" in again.stderr
    assert (tmp_path / "job/SKILL.md").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        (["x", "--task", "a"], 64, "missing --input, --check (there is no terminal to ask on)"),
        ([], 64, "Missing argument 'NAME'"),
        (["Sum Up", "--task", "a", "--input", "*", "--check", "true"], 1, "bad name 'Sum Up'"),
        (["x", "--task", "a", "--input", "*", "--check", "true", "--output", "out.md"], 1, "has no {id}"),
        (["x", "--task", "a", "--input", "*", "--check", "true", "--output", "../{id}"], 1, "--output: "),
        (["x", "--task", "a", "--input", "command: ", "--check", "true"], 1, "--input is empty"),
        (["x", "--task", " ", "--input", "*", "--check", "true"], 1, "--task is empty"),
        (["x", "--task", "a", "--input", "*", "--check", " "], 1, "--check is empty"),
    ],
)
def test_answers_that_cannot_be_used(tmp_path: Path, answers: list[str], code: int, said: str) -> None:
    job = scratch(tmp_path)
    assert said in job.run("skill", *answers, code=code).stderr
    assert not (job.root / "x").exists()


@pytest.mark.sample(2)
@pytest.mark.parametrize("text", ['say "it"', "it's\\n", "a\nb", "{% x %}", "tab\there", "ünï"])
def test_any_words_make_a_valid_job(tmp_path: Path, text: str) -> None:
    job = scratch(tmp_path)
    job.written("--task", text, "--input", "docs/*.md", "--check", f": {text!r}", "--stand-in", text)
    parse_policy((job.root / "agentjobs.toml").read_bytes(), preset=preset)
    rows = job.planned()
    assert text.strip() in job.run("prompt", rows[0]["id"], code=0).stdout
    front = (job.root / "SKILL.md").read_text().split("---\n")[1]
    assert [line.partition(":")[0] for line in front.splitlines()] == ["name", "description"]


def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    job = scratch(tmp_path)
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "agentjobs", "skill", "asked", "--check", "true"],
        cwd=job.root, env=job.env, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, b"Sum it up\ndocs/*.md\nout/{id}.md\nn\n")
    out, err = done.communicate(timeout=LONG_S)
    os.close(ours)
    assert done.returncode == 0, err
    assert b"What should be done for each item?" in err
    assert b"wrote asked/SKILL.md" in out
    policy = parse_policy((job.root / "asked/agentjobs.toml").read_bytes(), preset=preset)
    assert (policy.workspace.kind, policy.landing.enabled) == ("none", False)
    assert policy.profiles["default"].output == "out/{id}.md"


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--from", "docs"], 1, "docs is not a kind of job: it has no agentjobs.toml"),
        (["blank", "--from", "docs"], 64, "give a KIND or --from, not both"),
        (["--from", "nowhere"], 64, "does not exist"),
    ],
)
def test_init_from_what_is_no_kind(tmp_path: Path, args: list[str], code: int, said: str) -> None:
    assert said in scratch(tmp_path).run("init", *args, code=code).stderr
