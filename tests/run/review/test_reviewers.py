"""Verified work that is judged by other agents before it lands: the whole program, with scripted reviewers."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agentjobs.run.steps import sandbox
from tests.kit.harness import RULES, SILENT, Project

pytestmark = pytest.mark.sample(1)

REVIEWER = Path(__file__).resolve().parents[2] / "kit" / "agents" / "reviewer.py"
TEMPLATE = "Judge {{ id }} ({{ verify|length }} checks).\n{{ diff }}\n"


class Review(NamedTuple):
    task: str
    reviewer: str
    word: str
    commit: str
    prompt: str
    work: str


def reviewed(directory: Path, *reviewers: str, settings: dict[str, Any] | None = None, **keys: Any) -> Project:
    p = Project(directory, settings=settings or {})
    reviewers = reviewers or ("critic",)
    profiles: dict[str, Any] = {"default": {"review": list(reviewers), **keys}}
    agents: dict[str, Any] = {}
    for name in reviewers:
        profiles[name] = {"agent": f"a-{name}", "prompt": "review.md.j2"}
        agents[f"a-{name}"] = {
            "command": [sys.executable, "-IS", str(REVIEWER), name],
            "env": {"FAKE_LEDGER": str(p.ledger_path)},
            "rules": RULES,
            "usage": {"event": {"type": "result"}, "tokens": ["usage.input", "usage.output"], "cost": "cost"},
        }
    p.configure(profiles=profiles, agents=agents)
    (p.root / "review.md.j2").write_text(TEMPLATE)
    return p


def reviews(p: Project, task: str = "a") -> list[Review]:
    path = p.directory / "reviews.tsv"
    lines = path.read_text().splitlines() if path.exists() else []
    found = [line.split("\t") for line in lines]
    return [
        Review(name, who, word, commit, json.loads(prompt), json.loads(work))
        for name, who, word, commit, prompt, work in found
        if name == task
    ]


def words(p: Project, task: str = "a") -> list[str]:
    return [review.word for review in reviews(p, task)]


def test_work_that_passes_its_review_lands(tmp_path: Path) -> None:
    p = reviewed(tmp_path)
    p.rows({"id": "a", "critic": "pass:medium", "plan": "handoff:secret thoughts"})
    assert p.settle() == {"a": "DONE"}
    assert p.outcomes("a") == ["ok"]
    (review,) = reviews(p)
    facts = p.attempts("a")[0]
    # Judged was the very commit that was verified, and that landed.
    assert review.commit == facts["verify.plan"]["commit"] == facts["result"]["landed"]
    assert review.work == "ok a\n"
    assert "Judge a (1 checks)." in review.prompt
    assert "+ok a" in review.prompt
    assert "validate verdict" in review.prompt
    assert "secret thoughts" not in review.prompt
    assert facts["review-1.end"]["findings"][0]["severity"] == "medium"
    cells = p.table()["a"]
    assert cells["tokens"] == str(facts["agent.end"]["tokens"] + 1000)
    assert float(cells["cost"]) == pytest.approx(facts["agent.end"]["cost"] + 0.5)
    assert facts["result"]["cost"] == pytest.approx(facts["agent.end"]["cost"] + 0.5)


def test_rejected_work_is_repaired_and_judged_again(tmp_path: Path) -> None:
    p = reviewed(tmp_path)
    p.rows({"id": "a", "critic": "reject:a missing file,pass"})
    assert p.settle() == {"a": "DONE"}
    assert p.outcomes("a") == ["rejected", "ok"]
    assert p.modes("a") == ["first", "repair"]
    result = p.attempts("a")[0]["result"]
    assert "a.txt:1 (high) a missing file" in result["detail"]
    assert "What triggers it: a missing file" in result["errors"]
    assert "What triggers it: a missing file" in p.prompt("a", 2)
    second = reviews(p)[1].prompt
    assert "## Found before" in second
    assert "a.txt:1 (high, critic): a missing file — the file is as it was" in second


def test_a_verdict_that_is_malformed_twice_is_nobodys_but_the_reviewers(tmp_path: Path) -> None:
    p = reviewed(tmp_path)
    p.rows({"id": "a", "critic": "malformed,elsewhere,pass"}, {"id": "b"})
    p.dispatch()
    looped = p.loop()
    assert looped.last == 3, looped
    assert "reviewers gave no verdict on a" in looped.stderr
    assert p.statuses() == {"a": "REVIEWING", "b": "DONE"}
    assert p.starts() == {"a": 1, "b": 1}
    assert words(p) == ["malformed", "elsewhere"]
    told = reviews(p)[1].prompt
    assert "Your last verdict was not valid" in told
    assert "/findings/0: 'line' is a required property" in told
    end = p.attempts("a")[0]["review-2.end"]
    assert end["detail"].endswith("neither in the change nor in the tree: no/such/file")
    assert "no/such/file" in p.run("show", "a", code=0).stdout
    # `dispatch` asks again.
    assert p.settle() == {"a": "DONE", "b": "DONE"}
    assert p.starts() == {"a": 1, "b": 1}


def test_a_person_may_let_work_land_without_its_review(tmp_path: Path) -> None:
    p = reviewed(tmp_path)
    p.rows({"id": "a", "critic": "nothing"})
    p.dispatch()
    assert p.loop().last == 3
    all_of_them = p.run("approve", "--all", code=0)
    assert (all_of_them.stdout, "a has no review" in all_of_them.stderr) == ("", True)
    assert p.run("approve", "a", code=0).stdout == "a\tapproved\n"
    assert p.loop().last == 2
    assert p.statuses() == {"a": "DONE"}
    assert words(p) == ["nothing", "nothing"]


def test_a_reviewer_that_crashes_is_asked_once_more(tmp_path: Path) -> None:
    p = reviewed(tmp_path)
    p.rows({"id": "a", "critic": "crash,pass"})
    assert p.settle() == {"a": "DONE"}
    assert p.starts() == {"a": 1}
    assert p.attempts("a")[0]["review-1.end"]["outcome"] == "crashed"


def test_a_limit_of_the_reviewer_holds_back_its_own_account_alone(tmp_path: Path) -> None:
    p = reviewed(tmp_path)
    p.rows({"id": "a", "critic": "limit:in 3 hours,pass"}, *({"id": name} for name in "bcdef"))
    p.configure(slots=1)
    p.dispatch()
    p.poll_until(lambda: p.state("pauses"))
    assert list(p.state("pauses")) == ["a-critic"]
    p.poll_until(lambda: p.starts() == dict.fromkeys("abcdef", 1) and not p.processes())
    p.poll(code=0)
    p.run("dispatch", "--force", code=0)
    assert p.loop().last == 2
    assert p.statuses() == dict.fromkeys("abcdef", "DONE")
    assert p.starts() == dict.fromkeys("abcdef", 1)
    told = [(event["id"], event["event"]) for event in p.events()]
    limited = told.index(("a", "no verdict"))
    meanwhile = [what for _, what in told[limited : told.index(("a", "review"), limited)]]
    assert "begin" in meanwhile, "authors have an account of their own"
    assert "review" not in meanwhile, "and no other task asks the reviewer before its limit is over"
    assert p.state("pauses") is None


@pytest.mark.parametrize("kind", ["worktree", "clone"])
def test_what_a_reviewer_does_to_the_tree_never_lands(tmp_path: Path, kind: str) -> None:
    p = reviewed(tmp_path, "critic", "other", settings={"workspace": {"kind": kind}})
    p.configure(landing={"gate": ["grep -qx 'ok a' a.txt"], "batch": 1})
    p.rows({"id": "a", "critic": "meddle"})
    assert p.settle() == {"a": "DONE"}
    assert p.landed("a.txt") == "ok a"
    assert p.landed("new.txt") is None
    assert p.attempts("a")[0]["review-1.end"]["touched"] == ["README", "a.txt", "new.txt"]
    assert [review.work for review in reviews(p)] == ["ok a\n", "ok a\n"]


def test_a_reviewer_that_always_repeats_itself_does_not_loop_for_ever(tmp_path: Path) -> None:
    """Raised again although the file was changed for it, a finding blocks no more in the end: it is disputed."""
    p = reviewed(tmp_path)
    p.configure(profiles={"default": {"verify": ["true"]}}, retry={"repairs": 5})
    p.rows({"id": "a", "critic": "same", "plan": "replace:one,replace:two"})
    assert p.settle() == {"a": "DONE"}
    assert p.outcomes("a") == ["rejected", "rejected", "ok"]
    assert p.table()["a"]["note"] == "disputed: a.txt:1 (high, critic)"
    assert "disputed" in p.run("show", "a", code=0).stdout


def test_an_author_who_does_nothing_does_not_get_past_a_reviewer(tmp_path: Path) -> None:
    p = reviewed(tmp_path)
    p.configure(profiles={"default": {"verify": ["true"]}}, retry={"repairs": 5, "restarts": 0})
    p.rows({"id": "a", "critic": "same", "plan": "ok"})
    assert p.settle() == {"a": "FAILED"}
    assert p.outcomes("a") == ["rejected", "rejected", "rejected"]
    assert p.table()["a"]["note"].startswith("oscillating: rejected: by critic: a.txt:1 (high)")
    assert p.landed("a.txt") is None


def test_a_finding_on_a_file_that_changes_blocks_until_the_repairs_are_spent(tmp_path: Path) -> None:
    p = reviewed(tmp_path)
    p.configure(profiles={"default": {"verify": ["true"]}}, retry={"repairs": 3, "restarts": 0})
    p.rows({"id": "a", "critic": "same", "plan": "wrong"})
    assert p.settle() == {"a": "FAILED"}
    assert set(p.outcomes("a")) == {"rejected"}
    assert len(p.outcomes("a")) <= 4


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("rule", "cells", "outcomes", "asked"),
    [
        ("majority", {"one": "reject,pass", "two": "pass", "three": "pass"}, ["ok"], 3),
        ("majority", {"one": "pass", "two": "pass", "three": "reject"}, ["ok"], 2),
        ("any", {"one": "pass", "two": "reject", "three": "reject"}, ["ok"], 1),
        ("all", {"one": "reject,pass", "two": "pass", "three": "pass"}, ["rejected", "ok"], 6),
        ("majority", {"one": "reject,pass", "two": "nothing", "three": "reject,pass"}, ["rejected", "ok"], 8),
    ],
)
def test_the_pass_rule(tmp_path: Path, rule: str, cells: dict[str, str], outcomes: list[str], asked: int) -> None:
    p = reviewed(tmp_path, "one", "two", "three", review_pass=rule)
    p.rows({"id": "a", **cells})
    assert p.settle() == {"a": "DONE"}
    assert p.outcomes("a") == outcomes
    assert len(reviews(p)) == asked


def test_reviews_without_landing_and_without_checks(tmp_path: Path) -> None:
    p = reviewed(tmp_path, settings={"landing": {"enabled": False}}, verify=[])
    p.rows({"id": "a", "critic": "reject,pass"})
    assert p.settle() == {"a": "DONE"}
    assert p.outcomes("a") == ["rejected", "ok"]
    assert p.git("show", "refs/agentjobs/a/done:a.txt") == "ok a"


def test_a_file_too_large_for_the_prompt_is_left_out_whole(tmp_path: Path) -> None:
    p = reviewed(tmp_path, "large", "small")
    p.configure(profiles={"large": {"window": 1000}, "small": {"window": 100}})
    p.rows({"id": "a"})
    assert p.settle() == {"a": "DONE"}
    large, small = (review.prompt for review in reviews(p))
    assert "+ok a" in large
    assert "Too large" not in large
    assert "+ok a" not in small
    assert "Too large for this prompt; read them in the tree: a.txt" in small


def test_a_running_review_is_stopped_and_its_work_is_not_lost(tmp_path: Path) -> None:
    p = reviewed(tmp_path)
    p.rows({"id": "a", "critic": "hang,pass"})
    p.dispatch()
    p.poll_until(lambda: reviews(p))
    assert p.statuses() == {"a": "REVIEWING"}
    p.run("stop", code=0)
    assert p.outcomes("a") == ["stopped"]
    assert p.processes() == []
    assert p.settle() == {"a": "DONE"}
    assert p.modes("a") == ["first", "resume"]


def test_a_reviewer_that_is_late_or_does_not_go_is_ended(tmp_path: Path) -> None:
    p = reviewed(tmp_path, "late", "lingers", settings={"limits": {"idle_minutes": SILENT}})
    p.rows({"id": "a", "late": "hang,pass", "lingers": "linger"})
    assert p.settle() == {"a": "DONE"}
    facts = p.attempts("a")[0]
    assert [facts[f"review-{n}.end"]["outcome"] for n in (1, 2, 3)] == ["stalled", "ok", "ok"]
    assert facts["review-3.kill"]["why"] == "hung"


def test_reviews_take_slots_of_agents_and_wait_for_approval_and_the_gate(tmp_path: Path) -> None:
    p = reviewed(tmp_path)
    p.configure(slots=2, landing={"gate": ["true"], "batch": 4, "wait_s": 0, "approve": True})
    p.rows(*({"id": name, "critic": "reject,pass"} for name in "abcd"))
    p.dispatch()
    assert p.loop().last == 3
    assert set(p.statuses().values()) == {"LANDING"}
    p.run("approve", "--all", code=0)
    assert p.loop().last == 2
    assert set(p.statuses().values()) == {"DONE"}
    assert sorted(p.landings()) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ({"review": ["critik"]}, 'unknown profile "critik"; did you mean "critic"?'),
        ({"review": ["default"]}, "a profile cannot review itself"),
        ({"review": ["critic", "critic"]}, "critic is named twice"),
        ({"review_pass": "some"}, "all, any, majority"),
        ({"review_blocks": "grave"}, "low, medium, high, critical"),
    ],
)
def test_a_wrong_review_is_told_with_its_line(tmp_path: Path, profile: dict[str, Any], said: str) -> None:
    p = reviewed(tmp_path)
    p.configure(profiles={"default": profile})
    p.plans(a="ok")
    stderr = p.run("check", code=1).stderr
    assert said in stderr
    assert stderr.startswith("agentjobs: agentjobs.toml:")


def test_reviewers_of_reviewers_and_reviews_without_commits_are_refused(tmp_path: Path) -> None:
    p = reviewed(tmp_path, "one", "two")
    p.configure(profiles={"one": {"review": ["two"]}})
    p.plans(a="ok")
    assert "one has reviewers itself" in p.run("check", code=1).stderr
    p.configure(profiles={"one": {"review": None}}, workspace={"kind": "none"})
    assert "there is no commit to review" in p.run("check", code=1).stderr


def test_check_looks_at_reviewers_too(tmp_path: Path) -> None:
    p = reviewed(tmp_path)
    p.plans(a="ok")
    assert p.run("check", code=0).stderr == ""
    (p.root / "review.md.j2").write_text("{% if %}")
    assert "review.md.j2:1:" in p.run("check", code=1).stderr
    (p.root / "review.md.j2").unlink()
    assert "no such prompt template: review.md.j2" in p.run("check", code=1).stderr


@pytest.mark.skipif(bool(sandbox.trouble()), reason=f"no sandbox here: {sandbox.trouble()}")
def test_a_reviewer_in_a_sandbox_writes_its_verdict_and_sees_no_other(tmp_path: Path) -> None:
    p = reviewed(tmp_path, "one", "two", settings={"workspace": {"sandbox": "bwrap", "writable": [str(tmp_path)]}})
    p.rows({"id": "a", "one": "meddle"})
    assert shutil.which("bwrap")
    assert p.settle() == {"a": "DONE"}
    assert p.landed("a.txt") == "ok a"
