"""``check`` answers whether it should be parallel at all, from table, tree and the run's own past."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kit.harness import Project


def asked(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(project.run("check", "--json", code=0).stdout)["advice"]
    return found


def warned(project: Project) -> list[str]:
    return [line for line in project.run("check", code=0).stderr.splitlines() if "fit beside its prompt" in line]


def commit(project: Project, **sizes: int) -> None:
    """Commit texts with this many tokens each."""
    for name, tokens in sizes.items():
        path = project.root / "docs" / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(" word" * 50 + "\n" for _ in range(tokens // 50)))
    project.git("add", "-A")
    project.git("commit", "-q", "-m", "texts")


def test_the_answer_follows_the_findings_and_is_never_an_error(project: Project) -> None:
    project.rows(*({"id": f"t{n}"} for n in range(9)))
    done = project.run("check", code=0)
    assert done.lines[0] == "parallel: yes, 9 tasks, 4 at once"
    assert done.lines[-1] == "9 tasks: 0 errors, 0 warnings"
    assert [line.split()[0] for line in done.lines[1:5]] == ["order", "fit", "checks", "forecast"]
    assert done.stderr == ""
    assert not (project.root / ".agentjobs").exists(), "it changes nothing"
    project.rows({"id": "one"})
    assert project.run("check", code=0).lines[0] == "parallel: no: it is one task"
    project.rows({"id": "one", "status": "DONE"})
    assert project.run("check", code=0).lines == [
        "parallel: nothing to do, no task is open", "1 task: 0 errors, 0 warnings"
    ]  # fmt: skip


def test_where_something_is_wrong_there_is_no_advice(project: Project) -> None:
    project.rows({"id": "a", "profile": "none"})
    done = project.run("check", "--json", code=1)
    found = json.loads(done.stdout)
    assert found["advice"] is None
    assert found["findings"][0]["line"] == 2
    assert done.stderr == ""
    assert "parallel" not in project.run("check", code=1).stdout
    assert project.run("check", "--json", "--baseline").code == 64


def test_who_waits_for_whom(project: Project) -> None:
    project.configure(slots=3)
    files = {"t0": "src/a.js", "t1": "src", "t2": "src/b/*.js", "t3": "other", "t4": ""}
    project.rows(*({"id": i, "files": text} for i, text in files.items()), {"id": "t5", "after": "t4", "files": "lib"},
                 {"id": "t6", "after": "t5 t0"})  # fmt: skip
    order = asked(project)["order"]
    assert (order["chain"], order["pairs"], order["crowd"], order["slots"]) == (3, 2, 2, 3)
    assert order["speed_up"] == pytest.approx(7 / 3, abs=0.01)
    assert order["wide"] == 3, "t2 comes after t1, as that one comes first"
    project.rows(*({"id": f"t{n}", "after": f"t{n - 1}" if n else ""} for n in range(5)))
    found = asked(project)
    assert (found["verdict"], found["order"]["chain"], found["at_once"]) == ("no", 5, 1)
    project.rows(*({"id": f"t{n}", "files": "package.json"} for n in range(5)))
    found = asked(project)
    assert (found["verdict"], found["order"]["crowd"], found["order"]["pairs"]) == ("no", 5, 10)
    project.rows(*({"id": f"t{n}", "status": "TODO" if n > 4 else "DONE"} for n in range(9)))
    assert asked(project)["tasks"] == 4, "what is settled is no longer asked about"


def test_sizes_and_how_what_does_not_fit_is_split(project: Project) -> None:
    commit(project, a=300, b=900, c=2000)
    project.configure(profiles={"default": {"window": 2000, "fit": 0.5}}, agents={"fake": {"tokens_factor": 1.0}})
    project.rows(
        {"id": "small", "files": "docs/a.txt"},
        {"id": "some", "files": "docs/b.txt docs/a.txt"},
        {"id": "one", "files": "docs/c.txt"},
        {"id": "read", "docs": "docs/b.txt docs/c.txt"},
        {"id": "packed", "pack": "p", "docs": "docs/c.txt", "doc_tokens": "1700"},
        {"id": "merged", "tree": "x", "docs": "gone.txt", "doc_tokens": "1800"},
        {"id": "done", "files": "docs", "status": "DONE"},
    )
    fit = asked(project)["fit"]
    assert (fit["limit"], fit["room"], fit["too_large"], fit["rendered"]) == (1000, 1000, 5, 6)
    assert fit["largest_id"] == "read"
    assert 2900 <= fit["largest"] < 3000
    assert 3200 + 1700 + 1800 <= fit["total"] < 3200 + 1700 + 1800 + 240
    said = warned(project)
    told = [re.sub(r"9[78]\d", "LEFT", re.sub(r"[12],\d\d\d tokens", "N tokens", line)) for line in said]
    fits = "have N tokens; LEFT fit beside its prompt (fit × window of its profile)"
    assert told == [
        f"agentjobs: tasks.tsv:{line}: warning: the {what} {fits}: {cure}"
        for line, what, cure in (
            (3, "files of some", "`agentjobs plan files docs/b.txt docs/a.txt --max-tokens LEFT` makes tasks that fit"),
            (4, "files of one",
             "it is one file: let tasks name parts of it, or give the profile a model with a larger window"),
            (5, "documents of read",
             "`agentjobs plan pack docs/b.txt docs/c.txt --budget LEFT --split` makes tasks that fit"),
            (6, "documents of packed", "pack its documents anew with `agentjobs plan pack … --budget LEFT --split`"),
            (7, "documents of merged", "plan its merges anew with `agentjobs plan tree --budget LEFT`"),
        )
    ]  # fmt: skip
    made = project.run(*said[2].split("`")[1].split()[1:], "--dry-run", code=0)
    assert "over the budget" not in made.stdout + made.stderr, "the command does what it says"
    project.configure(agents={"fake": {"tokens_factor": 2.0}})
    assert asked(project)["fit"]["largest"] >= 2 * 2900, "as the agent counts"


def test_who_is_judged_by_its_own_word(project: Project) -> None:
    project.configure(profiles={"default": {"verify": []}, "safe": {"agent": "fake", "verify": ["true"]}})
    rows = [{"id": f"t{n}", "profile": "safe" if n < 3 else "", "verify": "true" if n == 3 else ""} for n in range(6)]
    project.rows(*rows)
    found = asked(project)
    assert found["checks"] == {"checked": 4, "unchecked": 2, "profiles": ["default"]}
    assert found["verdict"] == "with care"
    project.configure(landing={"gate": ["true"]})
    assert asked(project)["verdict"] == "yes", "a gate judges all"


def test_a_forecast_from_what_the_run_has_shown(project: Project) -> None:
    project.rows(*({"id": f"t{n:02}", "plan": "cost:0.25"} for n in range(12)))
    assert asked(project)["forecast"] is None
    assert "  forecast  none before a task has finished: " in project.run("check", code=0).stdout
    project.dispatch("--only", "4")
    assert project.loop().last == 2
    found = asked(project)["forecast"]
    assert found["parallel"]["cost"] == {"low": pytest.approx(2.0), "high": pytest.approx(2.0)}, "8 at 0.25 each"
    assert found["basis"][0].startswith("from 4 finished tasks of this run: 1.0 attempts and 0.0 minutes")
    assert len(found["basis"]) == 1
    assert found["parallel"]["seconds"]["high"] < 60
    assert found["parallel"]["tokens"]["low"] > 0


def test_the_cap_on_tokens_in_flight_is_part_of_it(project: Project) -> None:
    project.rows(*({"id": f"t{n}", "doc_tokens": "40000"} for n in range(8)))
    project.configure(limits={"tokens_in_flight": "100k"})
    found = asked(project)
    assert (found["order"]["flying"], found["at_once"], found["order"]["speed_up"]) == (2, 2, 2.0)
    project.configure(limits={"tokens_in_flight": "1k"})
    assert asked(project)["at_once"] == 1


def test_ten_thousand_rows_are_weighed_up_in_moments(project: Project) -> None:
    from agentjobs.checkup.parallel_facts import look
    from agentjobs.project.project import Project as Real

    commit(project, **{f"f{n}": 50 for n in range(200)})
    after = {n: f"t{n - 500}" if n >= 500 else "" for n in range(10_000)}
    project.rows(*({"id": f"t{n}", "files": f"docs/f{n % 200}.txt src/{n}.js", "after": after[n]} for n in after))
    real = Real(project.root)
    real.file.load()
    begun_at = time.process_time()
    advice = look(real).advice
    assert time.process_time() - begun_at < 10
    assert advice.tasks == 10_000
    assert advice.order is not None
    assert (advice.order.chain, advice.order.crowd, advice.order.more_pairs) == (20, 50, True)
    assert advice.fit is not None
    assert advice.fit.rendered < 400
