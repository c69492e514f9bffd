"""How an agent counts: the line through its first requests, which attempts are evidence, what goes by it."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentjobs.commands.calibrate import calibrate, first_request
from agentjobs.disk.files import read_json, write_json
from agentjobs.project.project import Project as Own
from agentjobs.tokens import count as tokens
from agentjobs.tokens.fit import Sample, Scale, fit
from agentjobs.tokens.scale import Learnt, State, scale_of
from tests.kit.harness import Project

FIXTURES = Path(__file__).parents[1] / "fixtures" / "agents"


# --- the line ---------------------------------------------------------------------------------------------


@given(
    factor=st.floats(0.6, 2.5),
    overhead=st.integers(0, 40_000),
    prompts=st.lists(st.integers(100, 60_000), min_size=4, max_size=40, unique=True),
)
def test_a_straight_line_is_found(factor: float, overhead: int, prompts: list[int]) -> None:
    prompts = [*prompts, 150, 160, 60_500, 61_000]
    samples = [Sample(one, round(overhead + factor * one)) for one in prompts]
    found = fit(samples, Scale(1.2))
    assert found is not None
    assert found.factor_known
    assert abs(found.scale.factor - factor) < 0.001
    assert abs(found.scale.overhead - overhead) <= 3
    assert found.after.mean < 0.01


def test_noise_and_what_it_is_worth() -> None:
    chance = random.Random(5)
    samples = [
        Sample(one, round((15_000 + 1.25 * one) * chance.uniform(0.97, 1.03)))
        for one in (chance.randint(500, 50_000) for _ in range(60))
    ]
    found = fit(samples, Scale(1.2))
    assert found is not None
    assert 1.2 < found.scale.factor < 1.32
    assert 14_000 < found.scale.overhead < 16_000
    assert found.before.mean > 0.3
    assert found.after.mean < 0.03
    assert found.after.worst < 0.08


def test_prompts_that_are_all_alike_tell_the_overhead_alone() -> None:
    samples = [Sample(1000 + at % 3, 13_200 + 90 * (at % 2)) for at in range(12)]
    found = fit(samples, Scale(1.2))
    assert found is not None
    assert not found.factor_known
    assert found.why == "all prompts have a similar size (1,000 to 1,002 tokens)"
    assert found.scale.factor == 1.2
    assert abs(found.scale.overhead - 12_045) < 10
    assert found.after.mean < 0.01


@pytest.mark.parametrize("count", [1, 3])
def test_too_few(count: int) -> None:
    samples = [Sample(1000 * (at + 1), 5000 + 1300 * (at + 1)) for at in range(count)]
    found = fit(samples, Scale())
    assert found is not None
    assert not found.factor_known
    assert found.scale.factor == 1.0
    assert found.why == "4 attempts are needed"


def test_an_overhead_is_not_negative() -> None:
    """The larger prompts grow faster than all of them: the ratio of all sums, and no overhead."""
    found = fit([Sample(1000, 1000), Sample(1000, 1000), Sample(5000, 7000), Sample(5000, 7000)], Scale())
    assert found is not None
    assert found.scale == Scale(round(16 / 12, 4), 0)


def test_what_is_no_count_of_the_prompt_gives_no_factor() -> None:
    """An agent that reads the prompt from a file: its first request does not grow with it."""
    samples = [Sample(one, 9000 + one // 50) for one in range(1000, 60_000, 3000)]
    found = fit(samples, Scale(1.2))
    assert found is not None
    assert not found.factor_known
    assert found.scale.factor == 1.2
    assert found.scale.overhead >= 0
    assert "0.02 times" in found.why


def test_nothing_to_learn_from() -> None:
    assert fit([], Scale()) is None


@given(counted=st.integers(0, 10**7), factor=st.floats(0.5, 3.0))
def test_a_budget_holds_what_fits_and_no_more(counted: int, factor: float) -> None:
    scale = Scale(factor)
    budget = scale.budget(counted)
    assert scale.tokens(budget) <= counted + 1
    assert scale.tokens(budget + 1) >= counted
    assert Scale().tokens(counted) == counted == Scale().budget(counted)


# --- evidence from a project ------------------------------------------------------------------------------

SAYS = """
import json, os, sys
mode, size = os.environ["AGENTJOBS_MODE"], 7000 + int(1.5 * int(os.environ["AGENTJOBS_ROW_SIZE"]))
print(json.dumps({"type": "request", "used": 0}))
for turn in range(3):
    print(json.dumps({"type": "request", "used": size + 500 * turn}))
if os.environ["AGENTJOBS_TASK"] == "c" and mode == "first":
    sys.exit(1)
print(json.dumps({"type": "result", "input": 3 * size}))
"""
CONTEXT: dict[str, Any] = {"event": {"type": "request"}, "used": ["used"]}


def made(directory: Path, agent: dict[str, Any]) -> Project:
    """A project whose agent counts 3 tokens for 2 of ours, and adds 7,000."""
    project = Project(directory)
    command = [sys.executable, "-IS", str(directory / "agent.py")]
    (directory / "agent.py").write_text(SAYS)
    project.configure(
        workspace={"kind": "none"},
        profiles={"default": {"agent": "mine", "require_change": False, "verify": ["true"]}},
        agents={"mine": {"command": command, "resume": command, **agent}},
    )
    (project.root / "prompt.md.j2").write_text("{{ text }}")
    texts = {name: "word " * count for name, count in {"a": 200, "b": 1000, "c": 4000, "d": 9000}.items()}
    project.rows(*({"id": i, "text": text, "size": tokens.count(text)} for i, text in texts.items()))
    return project


def settle(project: Project) -> None:
    project.dispatch()
    project.run("run", code=2)


def test_calibrating_and_what_goes_by_it(tmp_path: Path) -> None:
    project = made(tmp_path, {"context": CONTEXT})
    settle(project)
    assert set(project.statuses().values()) == {"DONE"}
    said = project.run("tokens", "--calibrate", code=0)
    assert said.lines[0] == "mine: factor 1 -> 1.5, overhead 0 -> 7000 tokens, from 4 attempts"
    assert said.lines[1].startswith("  before: off by ")
    assert said.lines[2] == "  after:  off by 0.0% on average, 0.0% at worst"
    assert said.lines[3] == "  left out: 1 that continued a conversation, 0 without the size of their first request"
    state = read_json(project.root / ".agentjobs" / "tokens.json", State)
    assert state is not None
    assert scale_of(Own(project.root), "mine") == Scale(1.5, 7000)
    assert project.run("tokens", "-", "--agent", "mine", stdin="word " * 9, code=0).lines == ["15\t-"]
    again = project.run("tokens", "--calibrate", "--json", code=0)
    told = json.loads(again.stdout)["mine"]
    assert told["fitted"]["before"]["worst"] < 0.001, "it was right already"
    # 4,001 tokens are 6,002 for the agent; half of what its own 7,000 leave of 18,000 is 5,500.
    project.configure(profiles={"default": {"agent": "mine", "window": 18_000, "fit": 0.5}})
    project.rows({"id": "e", "text": "word " * 4000})
    assert project.run("check", code=1).stderr.startswith(
        "agentjobs: tasks.tsv:2: the prompt of e has 6,002 tokens as mine counts them; 5,500 fit "
        "(fit × window of its profile, without the 7,000 of the agent's own); in it column 'text' "
    )
    (project.root / ".agentjobs" / "tokens.json").unlink()
    project.run("check", code=0)


def test_totals_of_several_requests_are_no_evidence(tmp_path: Path) -> None:
    usage = {"event": {"type": "result"}, "input": ["input"]}
    project = made(tmp_path, {"usage": usage})
    settle(project)
    said = project.run("tokens", "--calibrate", code=1)
    assert said.lines[0] == "mine: nothing learned"
    assert "4 without the size" in said.lines[1]
    assert "nothing to learn from" in said.stderr
    assert not (project.root / ".agentjobs" / "tokens.json").exists()
    # With three requests an attempt it stays so; the total of a single one is that request.
    project.configure(agents={"mine": {"watch": {"request": {"type": "request"}}}})
    project.run("tokens", "--calibrate", code=1)
    project.configure(agents={"mine": {"watch": {"request": {"type": "result"}}}})
    assert "factor 1 -> 4.5" not in project.run("tokens", "--calibrate", code=0).stdout


def test_figures_that_are_told_step_by_step(tmp_path: Path) -> None:
    usage = {"event": {"type": "request"}, "scope": "event", "input": ["used"], "output": ["none"]}
    project = made(tmp_path, {"usage": usage})
    settle(project)
    said = project.run("tokens", "--calibrate", code=0)
    assert said.lines[0].startswith("mine: factor 1 -> 1.5, overhead 0 -> 7000 tokens")


def test_nothing_has_run(tmp_path: Path) -> None:
    project = made(tmp_path, {})
    assert "nothing to learn from" in project.run("tokens", "--calibrate", code=1).stderr
    assert "no agent 'yours'" in project.run("tokens", "--calibrate", "--agent", "yours", code=1).stderr


def test_settings_and_nonsense_in_the_state(tmp_path: Path) -> None:
    project = made(tmp_path, {"tokens_factor": 1.3})
    own = Own(project.root)
    assert scale_of(own, "mine") == Scale(1.3)
    assert scale_of(own, "claude") == Scale(1.2)
    assert scale_of(own, "nobody") == Scale()
    own.store.create()
    for learnt in (Learnt(0.0, 5, 1, 0.0), Learnt(1.0, -5, 1, 0.0)):
        write_json(own.store.dir / "tokens.json", State({"mine": learnt}))
        assert scale_of(own, "mine") == Scale(1.3)
    (own.store.dir / "tokens.json").write_text("{")
    assert scale_of(own, "mine") == Scale(1.3)


@pytest.mark.parametrize(("name", "wanted"), [("claude", 102), ("codex", 0)])
def test_the_first_request_of_real_agents(tmp_path: Path, name: str, wanted: int) -> None:
    """As they said it to a mock model: 101 tokens of the first request, and what was known of the answer by then.

    What Codex says of a single request is in its transcript; where that is gone, nothing is learnt.
    """
    project = Project(tmp_path)
    project.configure(profiles={"default": {"agent": name}}, workspace={"kind": "none"})
    own = Own(project.root)
    from agentjobs.model.facts import Attempt, Intent, Mode

    own.store.create()
    directory = own.store.attempt_dir("a", own.store.claim("a"))
    (directory / "output.log").write_bytes((FIXTURES / name / "ok" / "stdout").read_bytes())
    intent = Intent("a", 1, 1, Mode.FIRST, "default", name, 0.0, "", session="x", tree=str(tmp_path))
    assert first_request(own, own.policy.agents[name], Attempt(intent)) == wanted


def test_calibrating_again_keeps_what_was_learnt_of_others(tmp_path: Path) -> None:
    project = made(tmp_path, {"context": CONTEXT})
    settle(project)
    own = Own(project.root)
    write_json(own.store.dir / "tokens.json", State({"other": Learnt(2.0, 1, 9, 0.0)}))
    calibrate(own, now=5.0, lock_timeout_s=5)
    state = read_json(own.store.dir / "tokens.json", State)
    assert state is not None
    assert state.agents == {"other": Learnt(2.0, 1, 9, 0.0), "mine": Learnt(1.5, 7000, 4, 5.0)}
