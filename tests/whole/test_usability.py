"""What messages say: why nothing happens, what is missing, and what to do next."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.kit.harness import Project

if TYPE_CHECKING:
    from pathlib import Path


def test_low_memory_is_said(tmp_path: Path) -> None:
    project = Project(tmp_path, settings={"limits": {"min_free_memory": "1000TiB"}})
    project.plans(a="ok")
    assert "nothing starts below 1024000.0 GiB (limits.min_free_memory)" in project.dispatch().stderr
    assert "limits.min_free_memory" in project.poll(code=0).stderr
    said = project.run("status", code=0).lines
    assert any(line.startswith("nothing starts: ") and "limits.min_free_memory" in line for line in said), said
    assert project.starts() == {}


def test_status_tells_of_a_spent_budget(tmp_path: Path) -> None:
    project = Project(tmp_path, settings={"limits": {"run_attempts": 1}})
    project.plans(a="ok", b="ok")
    project.dispatch()
    ended = project.run("run", code=3)
    assert ended.stderr.count("limits.run_attempts is spent (1 of 1)") == 1, ended.stderr
    lines = project.run("status", code=0).lines
    at = lines.index("nothing starts: limits.run_attempts is spent (1 of 1)")
    assert "Raise the limit" in lines[at + 1]
    assert json.loads(project.run("status", "--json", code=0).stdout)["held"]
    (project.root / "agentjobs.toml").write_text("broken")
    assert project.run("status", code=0).lines[0] == "2 tasks: 1 TODO, 1 DONE"


def test_a_pilot_ends_with_what_is_next(tmp_path: Path) -> None:
    project = Project(tmp_path, settings={"retry": {"resumes": 0, "repairs": 0, "restarts": 0}})
    project.plans(a="ok", b="lie", c="ok", d="ok")
    project.dispatch("--only", "2")
    ended = project.run("run", code=2)
    assert "1 FAILED: `agentjobs status --failures`" in ended.stderr
    assert "2 tasks wait for `agentjobs dispatch`" in ended.stderr
    assert "in play: a b; 2 tasks wait for `agentjobs dispatch`" in project.run("status", code=0).lines
    assert "FAILED:" not in project.run("run", "--quiet", code=2).stderr
    project.dispatch()
    assert "wait for" not in project.run("run", code=2).stderr


def test_a_new_round_is_called_one(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.plans(a="ok")
    project.settle()
    project.run("retry", "a", code=0)
    assert "  a  new round after attempt 1, waits for its turn" in project.run("status", code=0).lines


def test_what_waits_for_a_check_says_so(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.configure(slots=2, verify_slots=1, profiles={"default": {"verify": ["sleep 600"]}})
    project.plans(a="ok", b="ok")
    project.dispatch()
    waits = "the agent is done, waits for a check (limited by verify_slots)"
    project.poll_until(lambda: any(line.endswith(waits) for line in project.run("status", code=0).lines))
    project.run("stop", code=0)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.rows({"id": "a"})
    for asked in ('{{ row["task"] }}', "{{ row.task }}"):
        (project.root / "prompt.md.j2").write_text(f"# {{{{ id }}}}\n{asked}\n")
        said = project.run("prompt", "a", code=1).stderr
        assert said.startswith("agentjobs: prompt.md.j2:2: no column 'task' (columns: id); add it"), said
        assert "no column 'task'" in project.run("check", code=1).stderr


def test_check_finds_empty_cells_that_a_prompt_prints(tmp_path: Path) -> None:
    project = Project(tmp_path)
    template = '{{ id }} {{ row["task"] }}{{ what }}{% if row["hint"] %}{{ row["hint"] }}{% endif %}{{ errors }}\n'
    (project.root / "prompt.md.j2").write_text(template)
    project.rows(*({"id": f"t{n}", "task": "", "what": "x", "hint": ""} for n in range(5)), {"id": "u", "task": "do"})
    said = project.run("check", code=0).stderr.splitlines()
    assert "agentjobs: prompt.md.j2: warning: prints 'task', which is empty for t0, t1, t2 and 2 more" in said
    assert "agentjobs: prompt.md.j2: warning: prints 'what', which is empty for u" in said
    assert not any("hint" in line for line in said), said


def test_check_finds_scripts_that_are_not_there(tmp_path: Path) -> None:
    agent = {"command": ["sh", "{root}/tools/gone.sh", "--at", "{root}/x/{task}", "{root}/README"], "resume": None}
    project = Project(tmp_path, settings={"agents": {"fake": agent}})
    project.plans(a="ok")
    said = [line for line in project.run("check", code=1).stderr.splitlines() if "does not exist here" in line]
    assert len(said) == 1, said
    assert said[0].endswith("agent fake: tools/gone.sh does not exist here; create it, or change the command"), said
    assert "warning" not in said[0]
    assert "tools/gone.sh, which an agent's command names, does not exist" in project.run("dispatch", code=1).stderr
    project.run("dispatch", "--force", code=0)


def test_only_the_script_that_an_agent_runs_must_be_there(tmp_path: Path) -> None:
    agent = {"command": ["sh", "{root}/ok.sh", "--log", "{root}/later.log"], "resume": ["sh", "{root}/gone.sh"]}
    project = Project(tmp_path, files={"ok.sh": "true\n"}, settings={"agents": {"fake": agent}})
    project.plans(a="ok")
    said = [line for line in project.run("check", code=1).stderr.splitlines() if "does not exist here" in line]
    assert [("warning" in line, "later.log" in line, "gone.sh" in line) for line in said] == [
        (True, True, False), (False, False, True),
    ]  # fmt: skip
    assert "gone.sh, which an agent's command names, does not exist" in project.run("dispatch", code=1).stderr


def test_a_silent_check_says_so_once(tmp_path: Path) -> None:
    project = Project(
        tmp_path,
        settings={"profiles": {"default": {"verify": ["false"]}}, "retry": {"resumes": 0, "repairs": 0, "restarts": 0}},
    )
    project.plans(a="ok")
    assert project.settle() == {"a": "FAILED"}
    assert project.attempts("a")[0]["result"]["errors"] == "$ false\nfailed (exit 1), and said nothing"
    project.configure({"profiles": {"default": {"verify": ["echo broken; false"]}}})
    project.run("retry", "a", code=0)
    project.loop()
    told = project.attempts("a")[1]["result"]["errors"]
    assert told == "$ echo broken; false\nfailed (exit 1), and said this:\nbroken"


def test_show_says_nothing_twice(tmp_path: Path) -> None:
    project = Project(tmp_path, settings={"retry": {"resumes": 0, "repairs": 0, "restarts": 0}})
    project.plans(a="lie")
    assert project.settle() == {"a": "FAILED"}
    said = project.run("show", "a", code=0).lines
    assert not any(line.startswith("  | ") for line in said), said
    assert project.run("status", "--failures", code=0).lines == ["1 × no_change", "  a", f"  {_ended(said)}"]


def _ended(lines: list[str]) -> str:
    return next(line for line in lines if line.startswith("  ended")).partition("no_change: ")[2]


def test_clean_with_nothing_to_clean(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.plans(a="ok")
    for said in ("no settled task has a tree", "removed 1 spare tree"):
        done = project.run("clean", code=0)
        assert (done.stdout, done.stderr) == ("", f"agentjobs: {said}\n")
        project.settle()
