"""Handoffs from task to task, end to end; and the files that an agent claims to have changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agentjobs.checkup.check import findings
from agentjobs.project.project import Project as RealProject
from agentjobs.prompts import handoffs
from agentjobs.prompts.derived_handoff import MARK
from tests.kit.harness import Project

TEMPLATE = (
    "{% for h in handoffs %}<{{ h.id }} {{ h.distance }} {{ h.kind }}>\n{{ h.text }}\n</{{ h.id }}>\n{% endfor %}"
    "{{ dependents | join(' ') }}|{{ handoff }}|{{ errors }}\n"
)

FULL = "# Summary\\nThe whole of {0}.\\n\\n## Public API\\n- `{0}(x)`\\n\\n**Gotchas**\\nSlow."


@pytest.fixture
def told(project: Project) -> Project:
    (project.root / "prompt.md.j2").write_text(TEMPLATE)
    return project


def sections(prompt: str) -> dict[str, tuple[str, str]]:
    """What a prompt says of each task before: distance and kind, and the text."""
    found = {}
    for piece in prompt.split("\n</")[:-1]:
        head, _, text = piece[piece.index("<") + 1 :].partition(">\n")
        task_id, _, more = head.rpartition(" ")[0].rpartition(" ")
        found[task_id] = (f"{more} {head.rpartition(' ')[2]}", text)
    return found


# --- distance


def test_nearest_in_full_far_ones_shortened(told: Project) -> None:
    long = FULL + "\\n" * 3 + "More to know. " * 20
    told.rows(
        {"id": "last", "after": "mid other", "plan": "report"},
        {"id": "first", "plan": "report", "says": long.format("first")},
        {"id": "other", "plan": "report", "says": "just other"},
        {"id": "mid", "after": "first", "plan": "report", "says": long.format("mid")},
        {"id": "by-hand", "status": "DONE"},
        {"id": "after-that", "after": "by-hand"},
    )
    assert set(told.settle().values()) == {"DONE"}
    found = sections(told.prompt("last", 1))
    assert list(found) == ["other", "mid", "first"], "by distance, then by the table"
    assert found["other"] == ("1 full", "just other")
    assert found["mid"] == ("1 full", long.format("mid").replace("\\n", "\n").strip())
    assert found["first"] == (
        "2 short", "#### Interfaces\n\n- `first(x)`\n\n(shortened; left out: summary and gotchas)",
    )  # fmt: skip
    assert sections(told.prompt("after-that", 1)) == {}
    handoff = told.root / ".agentjobs/attempts/first/001/handoff.md"
    assert told.prompt("first", 1) == f"mid|{handoff}|\n"
    assert told.run("prompt", "first", code=0).stdout == f"mid|{handoff}|\n"


def test_where_there_is_no_room_the_names_are_told(told: Project) -> None:
    entries = "\\n".join(f"- `function_{n}(argument)` does a thing" for n in range(210))
    (told.root / "prompt.md.j2").write_text("{% for h in handoffs %}{{ h.text }}\n{% endfor %}")
    rows: list[dict[str, object]] = [
        {"id": f"t{n}", "after": f"t{n - 1}" if n else "", "plan": "report", "says": f"## API\\n{entries}"}
        for n in range(4)
    ]
    told.rows(*rows)
    assert set(told.settle().values()) == {"DONE"}
    prompt = told.prompt("t3", 1)
    assert prompt.endswith("(left out, no room: the handoffs of t1, t0)\n")
    from agentjobs.tokens.count import count

    assert 1500 < count(prompt) <= 4000 + 10


@pytest.mark.slow
def test_the_newest_handoff_of_the_round_that_was_done(told: Project) -> None:
    told.configure(retry={"repairs": 1, "restarts": 0})
    told.rows(
        {"id": "a", "plan": "report:wrong,ok", "says": "old news"},
        {"id": "b", "after": "a", "plan": "ok"},
    )
    assert set(told.settle().values()) == {"DONE"}
    assert sections(told.prompt("b", 1))["a"] == ("1 full", "old news"), "of an attempt that failed"
    told.edit("a", status="TODO", plan="text:again", says="")
    assert told.loop().last == 2
    told.edit("b", status="TODO", plan="text:again")
    assert told.loop().last == 2
    kind, text = sections(told.prompt("b", 2))["a"]
    assert kind == "1 derived", "the round before does not count"
    assert text.startswith(MARK)


# --- derived


def test_without_a_handoff_one_is_derived_from_the_diff(tmp_path: Path) -> None:
    files = {
        "src/api.py": "def kept(a): ...\ndef gone(b): ...\ndef other(c): ...\n",
        "src/old.ts": "export function same(): void {}\nexport const padding = 'long enough to be found again'\n",
        "src/dead.txt": "x\n",
    }
    project = Project(tmp_path, files=files)
    (project.root / "prompt.md.j2").write_text(TEMPLATE)
    api = "def kept(a, more=1): ...\ndef other(c): ...\nclass New:\n    def method(self): ..."
    moved = files["src/old.ts"].rstrip("\n")
    writes = f'"src/api.py={api}" src/dead.txt= src/old.ts= "src/new.ts={moved}" src/blank='.removesuffix(" src/blank=")
    project.rows(
        {"id": "a", "plan": "report", "title": "Rework the api", "writes": writes.replace("\n", "\\n")},
        {"id": "b", "after": "a", "plan": "ok"},
        {"id": "c", "after": "b", "plan": "ok"},
    )
    assert set(project.settle().values()) == {"DONE"}
    kind, text = sections(project.prompt("b", 1))["a"]
    assert kind == "1 derived"
    assert text == f"""\
{MARK}

#### Summary

Rework the api
- `a.txt` is new (+1 -0)
- `src/api.py` (+3 -2)
- `src/dead.txt` was deleted (+0 -1)
- `src/old.ts` is `src/new.ts` now (+0 -0)

#### Interfaces

- `src/api.py`
  - added `class New`
  - added `New: def method(self)`
  - `def kept(a)` is `def kept(a, more=1)` now
  - removed `def gone(b)`"""
    far = sections(project.prompt("c", 1))
    assert far["a"][0] == "2 derived"
    assert "Rework" not in far["a"][1]
    assert "added `class New`" in far["a"][1]
    assert far["b"] == ("1 derived", f"{MARK}\n\n#### Summary\n\n- `b.txt` is new (+1 -0)")
    # what landed is enough: the agent's own commit may be gone one day
    project.git("update-ref", "-d", "refs/agentjobs/a/1")
    project.git("update-ref", "-d", "refs/agentjobs/a/done", check=False)
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "-q", "--prune=now")
    again = project.run("prompt", "b", code=0).stdout
    assert sections(again)["a"] == (kind, text)


def test_a_task_that_changed_nothing_has_nothing_to_tell(told: Project) -> None:
    told.configure(profiles={"default": {"require_change": False, "verify": []}})
    told.rows({"id": "a", "plan": "lie"}, {"id": "b", "after": "a", "plan": "ok"})
    assert set(told.settle().values()) == {"DONE"}
    assert sections(told.prompt("b", 1)) == {}


def test_without_trees_the_output_is_told(told: Project) -> None:
    told.configure(workspace={"kind": "none"})
    told.rows(
        {"id": "a", "plan": "report", "output": "out/a.md", "writes": "'out/a.md=one two three'"},
        {"id": "b", "plan": "ok", "output": "../b.md"},
        {"id": "c", "plan": "ok", "output": "missing.md"},
        {"id": "d", "after": "a b c", "plan": "ok"},
    )
    assert set(told.settle().values()) == {"DONE"}
    assert sections(told.prompt("d", 1)) == {"a": ("1 derived", "wrote out/a.md (4 tokens)")}


def test_a_derived_handoff_holds_no_secret(told: Project) -> None:
    key = "sk-0123456789abcdef"
    told.configure(agents={"fake": {"env": {"FAKE_API_KEY": key}}})
    told.rows(
        {"id": "a", "plan": "report", "writes": f"'a.py=def log_in(key=\"{key}\"): ...'"},
        {"id": "b", "after": "a", "plan": "ok"},
    )
    assert set(told.settle().values()) == {"DONE"}
    prompt = told.prompt("b", 1)
    assert "***FAKE_API_KEY***" in prompt
    assert key not in prompt


# --- many rows


@pytest.mark.slow
def test_check_of_a_thousand_rows_in_a_chain_reads_few_handoffs(told: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of them are done; none is read twice, and no more than a bounded number for each."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    told.rows({"id": "t0000", "plan": "report", "says": "hello"}, {"id": "t0001", "plan": "ok", "after": "t0000"})
    assert set(told.settle().values()) == {"DONE"}
    facts = told.root / ".agentjobs" / "attempts"
    for n in range(2, 500):
        (facts / f"t{n:04}" / "001").mkdir(parents=True)
        for name in ("settled-1.json", "001/attempt.json", "001/result.json", "001/agent.end.json"):
            text = (facts / "t0000" / name).read_text().replace("t0000", f"t{n:04}")
            (facts / f"t{n:04}" / name).write_text(text)
        (facts / f"t{n:04}" / "001" / "handoff.md").write_text(f"note {n}\n")
    told.rows(*(
        {"id": f"t{n:04}", "status": "DONE" if n < 500 else "", "after": f"t{n - 1:04}" if n else "", "attempt": n}
        for n in range(1000)
    ))  # fmt: skip
    reads: list[str] = []
    read = handoffs._read

    def counted(project: RealProject, task_id: str) -> tuple[str, bool]:
        reads.append(task_id)
        return read(project, task_id)

    monkeypatch.setattr(handoffs, "_read", counted)
    errors = [str(found) for found in findings(RealProject(told.root)) if not found.warning]
    assert errors == []
    assert len(reads) == len(set(reads)) == 61


# --- claims


def ends(project: Project, task_id: str) -> list[tuple[str, ...]]:
    return [tuple(facts["agent.end"].get("findings", ())) for facts in project.attempts(task_id)]


def test_a_false_list_is_found_and_told(told: Project) -> None:
    told.configure(retry={"repairs": 1, "restarts": 0})
    says = "## Summary\\nAll.\\n\\nChanged:\\n- `a.txt`\\n- `README`: more words\\n- src/never.py (new)\\n- trust me"
    told.rows({"id": "a", "plan": "report:wrong,ok", "says": says, "writes": "b.txt=x c/d.txt=y"})
    assert told.settle() == {"a": "DONE"}
    expected = (
        "reported a change of README, but made none", "reported a change of src/never.py, but made none",
        "changed b.txt without reporting it", "changed c/d.txt without reporting it",
    )  # fmt: skip
    assert ends(told, "a") == [expected, ()]
    first, second = (facts["result"] for facts in told.attempts("a"))
    assert first["outcome"] == "verify_failed"
    assert first["errors"].endswith(
        "Its list of changed files does not match its commit:\n" + "\n".join(f"- it {line}" for line in expected)
    )
    assert "errors" not in second
    assert "- it reported a change of README, but made none\n" in told.prompt("a", 2)
    counted = [event for event in told.events() if event["event"] == "findings"]
    assert [(event["id"], event["attempt"], event["count"]) for event in counted] == [("a", 1, 4)]
    shown = told.run("show", "a", code=0).stdout
    assert "finding  reported a change of README, but made none" in " ".join(shown.split(" ")).replace("   ", "  ")
    story: dict[str, Any] = json.loads(told.run("show", "a", "--json", code=0).stdout)
    assert story["attempts"][0]["findings"] == list(expected)


def test_findings_fail_nothing_by_themselves(told: Project) -> None:
    told.rows(
        {"id": "a", "plan": "report", "says": "Files changed:\\n- README"},
        {"id": "b", "plan": "report", "says": "Files changed: none"},
        {"id": "c", "plan": "report", "says": "Summary: I changed README."},
        {"id": "d", "plan": "report", "message": "All is well now.\\n\\nFiles changed:\\n\\n- d.txt\\n- README"},
        {"id": "e", "plan": "report", "says": "Changed: e.txt"},
    )  # fmt: skip
    assert set(told.settle().values()) == {"DONE"}
    found = {task_id: ends(told, task_id)[0] for task_id in "abcde"}
    assert found == {
        "a": ("reported a change of README, but made none", "changed a.txt without reporting it"),
        "b": ("changed b.txt without reporting it",),
        "c": (),
        "d": ("reported a change of README, but made none",),
        "e": (),
    }
    assert all("errors" not in told.attempts(task_id)[0]["result"] for task_id in "abcde")


def test_a_repair_answers_for_its_own_changes_only(told: Project) -> None:
    told.configure(retry={"repairs": 2, "restarts": 0})
    told.rows({"id": "a", "plan": "report:wrong,report", "says": "Changed:\\n- a.txt", "writes": "b.txt=x"})
    assert told.settle() == {"a": "DONE"}
    assert ends(told, "a") == [("changed b.txt without reporting it",), ()]


def test_who_was_cut_short_has_claimed_nothing(told: Project) -> None:
    told.configure(retry={"resumes": 0, "repairs": 1, "restarts": 0})
    told.configure(profiles={"default": {"agent": "dies"}}, agents={"dies": {
        "command": ["sh", "-c", 'printf "Changed:\\n- README\\n" >"$AGENTJOBS_HANDOFF"; echo ok >a.txt; exit 3'],
    }})  # fmt: skip
    told.plans(a="ok")
    assert told.settle() == {"a": "FAILED"}
    assert ends(told, "a") == [(), ()]


def test_findings_are_masked(told: Project) -> None:
    told.configure(agents={"fake": {"env": {"FAKE_API_KEY": "secret-in-a-name"}}})
    told.rows({"id": "a", "plan": "report", "says": "Changed:\\n- a.txt", "writes": "secret-in-a-name.txt=x"})
    assert told.settle() == {"a": "DONE"}
    assert ends(told, "a") == [("changed ***FAKE_API_KEY***.txt without reporting it",)]


# --- templates


def test_in_a_sandbox_the_path_is_another(told: Project) -> None:
    told.configure(workspace={"sandbox": "bwrap"})
    told.plans(a="ok")
    handoff = told.root / ".agentjobs/attempts/a/001/handoff/handoff.md"
    assert told.run("prompt", "a", code=0).stdout == f"|{handoff}|\n"


@pytest.mark.parametrize("kind", ["blank", "js-to-ts"])
def test_shipped_templates_ask_for_a_handoff_where_somebody_waits(project: Project, kind: str) -> None:
    text = (Path(__file__).parents[2] / "templates" / kind / "prompt.md.j2").read_text()
    (project.root / "prompt.md.j2").write_text(text)
    project.rows({"id": "a", "task": "x"}, {"id": "b", "after": "a", "task": "y"})
    asked = project.run("prompt", "a", code=0).stdout
    for part in ("build on this one: b.\n", "/.agentjobs/attempts/a/001/handoff.md`", "- Summary:", "- Interfaces:",
                 "- Decisions:", "- Gotchas:", "- Remaining:"):  # fmt: skip
        assert part in asked
    assert "handoff" not in project.run("prompt", "b", code=0).stdout
