"""Names and texts that a shell, git or JSON could take for something else: run nothing, break nothing, land whole."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from agentjobs.table.table import escape
from tests.kit.harness import Project

pytestmark = pytest.mark.sample(1)

BAIT = "$(touch pwned)`touch pwned`;touch pwned;"

NAMES = [
    b"with space.txt",
    b" lead and trail ",
    b"it's \"quoted\".txt",
    b"new\nline.txt",
    b"tab\tand\\back.txt",
    b"$(touch pwned).txt",
    b"`touch pwned`;touch pwned",
    b"--help",
    b"-rf",
    b"*?[a-z].txt",
    b":(top)colon",
    b"# hash",
    "snowman-\u2603-e\u0301.txt".encode(),
]

WRITER = """\
import os, sys
names = sys.argv[1:]
for name in names:
    name = os.fsencode(name)
    if os.path.dirname(name):
        os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "ab") as file:
        file.write(b"ok from " + os.environb[b"AGENTJOBS_TASK"] + b"\\n")
sys.stdout.buffer.write(b"wrote \\xff\\xfe " + repr(names).encode("utf-8", "backslashreplace") + b"\\n")
"""


def words(*names: bytes) -> str:
    """Return file names as the shell words of a ``files`` cell, escaped for the table."""
    return escape(" ".join(shlex.quote(name.decode()) for name in names))


def writer(project: Project, **settings: object) -> None:
    """Let the agent write what AGENTJOBS_FILES and the row name, through the shell's own quoting."""
    script = project.directory / "write.py"
    script.write_text(WRITER)
    agent = project.directory / "agent.sh"
    agent.write_text(f"""set -f
IFS='|'
set -- $AGENTJOBS_ROW_WRITE
exec {sys.executable} -IS '{script}' "$@"
""")
    project.configure(
        {
            "agents": {"fake": {"command": ["sh", str(agent)], "resume": None, "rules": [], "usage": None}},
            "profiles": {"default": {"verify": ["true"]}},
            "retry": {"restarts": 0, "repairs": 1},
            **settings,
        }
    )


def finish(project: Project) -> dict[str, str]:
    """Dispatch and poll to the end; the loop of the harness goes through a shell, and would not show ours."""
    project.dispatch()
    for _ in range(200):
        done = project.poll("--wait", "5")
        if done.code:
            assert done.code == 2, f"{done}\n{project.story()}"
            return project.statuses()
    raise AssertionError(project.story())


def untouched(project: Project) -> None:
    """Nothing that was only a name has run."""
    assert not [path for path in project.directory.rglob("*pwned*") if path.name == "pwned"]


def on_target(project: Project) -> set[bytes]:
    command = ["git", "ls-tree", "-r", "-z", "--name-only", "agentjobs/landed"]
    done = subprocess.run(command, cwd=project.root, capture_output=True, check=True)
    return {name for name in done.stdout.split(b"\0") if name}


def test_files_of_such_names_land_and_are_kept_to(project: Project) -> None:
    writer(project)
    write = escape("|".join(name.decode() for name in NAMES))
    others = [name for name in NAMES if name != b"-rf"]  # which none of their globs covers
    project.rows(
        {"id": "in", "files": words(*NAMES), "write": write, "title": escape(BAIT)},
        {"id": "out", "files": words(*others), "write": write, "title": escape("-m --amend\n\nAgentjobs-Task: fake")},
    )
    assert finish(project) == {"in": "DONE", "out": "FAILED"}, project.story()
    assert set(NAMES) <= on_target(project)
    assert project.landings() == ["in"]
    assert set(project.outcomes("out")) == {"out_of_scope"}
    assert project.attempts("out")[0]["agent.end"]["outside"] == ["-rf"]
    untouched(project)


def test_names_that_are_not_utf8(project: Project) -> None:
    """No table can name them, but an agent may write them, change them, and two may meet in one."""
    (Path(os.fsencode(project.root).decode()) / os.fsdecode(b"old-\xe9")).write_text("old\n")
    project.git("add", "-A")
    project.git("commit", "-qm", "a name that is not UTF-8")
    script = project.directory / "agent.py"
    script.write_text(
        "import os, time\n"
        "task = os.environ['AGENTJOBS_TASK']\n"
        "open(b'new-\\xff-' + task.encode(), 'w').write('ok\\n')\n"
        "if task != 'stray': open(b'old-\\xe9', 'w').write(f'{task} was here\\n')\n"
        "os.write(1, b'Error: cannot open old-\\xe9\\n')\n"
    )
    writer(project)
    project.configure(agents={"fake": {"command": [sys.executable, "-IS", str(script)]}})
    project.rows({"id": "one"}, {"id": "two"}, {"id": "stray", "files": "docs"})
    statuses = finish(project)
    assert sorted([statuses["one"], statuses["two"]]) == ["DONE", "DONE"], project.story()
    assert statuses["stray"] == "FAILED"
    assert {b"new-\xff-one", b"new-\xff-two", b"old-\xe9"} <= on_target(project)
    assert project.run("show", "stray").code == 0
    assert project.run("status", "--failures").code in {0, 1}


def test_a_conflict_in_a_file_whose_name_is_not_utf8(project: Project) -> None:
    script = project.directory / "agent.py"
    script.write_text(
        "import os\n"
        "task = os.environ['AGENTJOBS_TASK']\n"
        "open(b'same-\\xff', 'w').write(f'ok {task}\\n')\n"
    )
    writer(project)
    project.configure(
        agents={"fake": {"command": [sys.executable, "-IS", str(script)]}}, verify_slots=1, retry={"repairs": 3}
    )
    project.rows({"id": "one"}, {"id": "two"})
    statuses = finish(project)
    assert statuses == {"one": "DONE", "two": "DONE"}, project.story()
    outcomes = sorted([project.outcomes("one"), project.outcomes("two")], key=len)
    assert outcomes == [["ok"], ["conflict", "ok"]]


def test_a_prompt_of_a_megabyte_arrives_whole(project: Project) -> None:
    writer(project)
    script = project.directory / "agent.py"
    script.write_text(
        "import hashlib, os, sys\n"
        "text = sys.stdin.buffer.read()\n"
        "assert text == open(os.environ['AGENTJOBS_PROMPT'], 'rb').read()\n"
        "open('sum.txt', 'w').write(f'{len(text)} {hashlib.sha256(text).hexdigest()}')\n"
    )
    project.configure(agents={"fake": {"command": [sys.executable, "-IS", str(script)]}})
    long = "".join(f"line {n} {BAIT} \u2603\n" for n in range(25_000))
    assert len(long) > 1_000_000
    (project.root / "prompt.md.j2").write_text("{% raw %}" + long + "{% endraw %}")
    project.rows({"id": "big"})
    assert finish(project) == {"big": "DONE"}, project.story()
    data = long.encode()
    assert project.landed("sum.txt") == f"{len(data)} {hashlib.sha256(data).hexdigest()}"
    untouched(project)


def test_a_cell_too_long_for_a_variable_still_reaches_the_prompt(project: Project) -> None:
    """Linux refuses a variable of more than 128 KiB: the program must not fail on it, nor the other tasks."""
    writer(project)
    script = project.directory / "agent.py"
    script.write_text("import sys\nopen('sum.txt', 'a').write(str(len(sys.stdin.read())) + '\\n')\n")
    project.configure(agents={"fake": {"command": [sys.executable, "-IS", str(script)]}}, slots=1)
    (project.root / "prompt.md.j2").write_text("{{ row.item }}")
    files = " ".join(f"src/module_{n}/file_{n}.js" for n in range(6000)) + " sum.txt"
    project.rows({"id": "big", "item": "x" * 300_000, "files": files}, {"id": "small", "item": "y", "files": "sum.txt"})
    assert finish(project) == {"big": "DONE", "small": "DONE"}, project.story()
    assert project.landed("sum.txt") == "300000\n1"


def test_texts_in_the_table_are_data(project: Project) -> None:
    """Template syntax, shell syntax, escapes and options in cells stay text in prompt, environment and commit."""
    writer(project)
    script = project.directory / "agent.py"
    script.write_text(
        "import os, sys\nopen('seen.txt', 'w').write(sys.stdin.read() + '|' + os.environ['AGENTJOBS_ROW_ITEM'])\n"
    )
    project.configure(
        agents={"fake": {"command": [sys.executable, "-IS", str(script), "{task}"]}},
        profiles={"default": {"verify": ['test -n "$AGENTJOBS_ROW_ITEM" && test ! -e pwned']}},
    )
    (project.root / "prompt.md.j2").write_text("{{ row.item }}")
    item = "{{ 7 * 7 }}{% if %} {session} " + BAIT + " ' \" \\\\n \\n %s {} -x \u202e \u0007"
    project.rows({"id": "x", "item": item, "title": "--amend\\n\\nAgentjobs-Task: other " + BAIT})
    assert finish(project) == {"x": "DONE"}, project.story()
    value = item.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")
    assert project.landed("seen.txt") == f"{value}|{value}"
    assert project.landings() == ["x"]
    untouched(project)


def test_columns_of_any_name(project: Project) -> None:
    names = ["a-b", "a b", "A.B", "\u00e9t\u00e9", "=", "PATH", "self", "1st", "{{x}}", "a=b", "row", "errors", "loop"]
    project.rows({"id": "x", "plan": "ok", **dict.fromkeys(names, "v")})
    assert finish(project) == {"x": "DONE"}, project.story()


@pytest.mark.parametrize("name", ["it's a \"$(touch pwned)\" \u2603", "-x"], ids=repr)
def test_a_project_in_a_directory_of_that_name(tmp_path: Path, name: str) -> None:
    project = Project(tmp_path / name)
    project.configure(
        agents={"fake": {"env": {"FAKE_LEDGER": str(tmp_path / "ledger.tsv")}}}, workspace={"setup": "touch set-up"}
    )
    project.plans(x="crash,wrong,ok", y="server,ok")
    assert finish(project) == {"x": "DONE", "y": "DONE"}, project.story()
    untouched(project)


@pytest.mark.parametrize("name", [b"odd-\xff", b"new\nline"])
def test_a_directory_that_nothing_can_name_is_refused_in_one_line(tmp_path: Path, name: bytes) -> None:
    project = Project(tmp_path / "plain")
    project.plans(x="ok")
    odd = tmp_path / os.fsdecode(name)
    project.directory.rename(odd)
    done = project.run("dispatch", cwd=odd / "project")
    assert done.code == 1, done
    assert done.stderr.startswith("agentjobs: the path ")
    assert done.stderr.count("\n") == 1
    assert not (odd / "project" / ".agentjobs").exists()
