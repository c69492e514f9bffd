"""The presets against what the real CLIs printed: outcome, conversation, usage and reset of each recording."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.agents.classify import Ending, classify
from agentjobs.agents.observe import Seen, Sight, measured, observe, sights
from agentjobs.agents.output import Knowledge
from agentjobs.agents.transcripts import Found, Whose, find, lines_of
from agentjobs.agents.usage import Measured, beside, measure, of_attempt, since
from agentjobs.model.errors import UserError
from agentjobs.model.outcomes import Outcome
from agentjobs.model.spending import Spending
from agentjobs.model.steps import Exited, Kill, KillReason, Lost
from agentjobs.policy.agent_output import Transcript, Usage
from agentjobs.policy.agents import Agent
from agentjobs.policy.parse import parse_policy
from agentjobs.policy.presets import names, preset
from agentjobs.run.steps.open_request import asks
from agentjobs.run.steps.spending import learnt
from agentjobs.text.json_lines import matches, read_events
from tests.kit import examples
from tests.realagents import NAMES, real

FIXTURES = Path(__file__).parents[1] / "fixtures" / "agents"
RECORDINGS = sorted(FIXTURES.glob("*/*/meta.json"))
IDS = [f"{path.parent.parent.name}-{path.parent.name}" for path in RECORDINGS]
SIGNAL_BASE = 128


@cache
def agent_of(name: str) -> Agent:
    policy = parse_policy(f'[profiles.default]\nagent = "{name}"\n'.encode(), preset=examples.preset)
    return policy.agents[name]


class Recording:
    """What one run of a CLI left."""

    def __init__(self, meta: Path) -> None:
        self.directory = meta.parent
        self.meta: dict[str, Any] = json.loads(meta.read_text())
        self.agent = agent_of(self.meta["agent"])
        self.output = (self.directory / "stdout").read_bytes() + (self.directory / "stderr").read_bytes()

    def ending(self) -> tuple[Exited | Lost, Kill | None]:
        case, number = self.directory.name, self.meta["signal"]
        if case.startswith("sigkill"):  # by somebody else: its supervisor writes the signal down
            return Exited(SIGNAL_BASE + 9, 0.0), None
        code = self.meta["exit"] if number is None else SIGNAL_BASE + number
        return Exited(code, 0.0), Kill(KillReason.SILENT, 0.0) if case == "hang" else None

    def verdict(self, output: bytes | None = None) -> Ending:
        state, kill = self.ending()
        seen = self.output if output is None else output
        now = self.meta.get("at", self.meta.get("reset", 1e9) - 3 * 3600.0)
        return classify(
            state=state, kill=kill, output=seen, output_bytes=len(seen), rules=self.agent.rules, now=now,
            knowledge=Knowledge(self.agent.watch, self.agent.text_after, reading=self.agent.reading),
        )  # fmt: skip

    def transcript(self, session: str, home: Path) -> Found | None:
        """Find the conversation where the CLI had left it, with ``home`` for HOME."""
        if self.agent.transcript is None:
            return None
        whose = Whose(env={"HOME": str(home)}, session=session, tree="/work/tree", since=0.0, own=str(home))
        return find(self.agent.transcript, whose)

    def home(self, scratch: Path) -> Path:
        """Return the HOME it left; with a database, which is recorded as SQL, that is a copy."""
        home = self.directory / "home"
        dumps = list(home.rglob("*.sql"))
        for dump in dumps:
            database = scratch / dump.relative_to(home).with_suffix("")
            database.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(database)) as made:
                made.executescript(dump.read_text())
        return scratch if dumps else home

    def told(self, output: bytes, session: str, home: Path) -> tuple[Measured | None, Measured | None]:
        """Return what its output says, and what it has on disk."""
        kept, where = self.transcript(session, home), self.agent.transcript_usage
        if kept is None:
            return measure(output, self.agent.usage), None
        files = [measure(text, where, conversation=True) for text in (kept.lines, *map(lines_of, kept.also))]
        return measure(output, self.agent.usage), kept.measured or beside(files)


@pytest.mark.parametrize("meta", RECORDINGS, ids=IDS)
def test_a_recording_is_read_right(meta: Path, tmp_path: Path) -> None:
    """One test for each recording, so that it is parsed once."""
    recording = Recording(meta)
    home = recording.home(tmp_path)
    its_ending(recording)
    its_conversation(recording)
    its_conversation_on_disk(recording, home)
    its_usage(recording, home)
    its_open_request(recording)


def its_ending(recording: Recording) -> None:
    """Check the outcome, and the time at which a limit ends."""
    verdict = recording.verdict()
    assert verdict.outcome is Outcome(recording.meta["class"]), verdict
    if "reset" not in recording.meta:
        assert verdict.reset_at == 0
    elif recording.meta.get("reset_unknown"):
        assert verdict.reset_at == 0, "it can be known: say so in meta.json"
    else:
        assert abs(verdict.reset_at - recording.meta["reset"]) <= 60


def its_conversation(recording: Recording) -> None:
    if recording.agent.session is not None:
        told = learnt(recording.output, recording.agent.session)
        assert told in {"", recording.meta["session"]}
        assert told or recording.meta["class"] != "ok"


def its_conversation_on_disk(recording: Recording, home: Path) -> None:
    """An agent that chooses the id itself may be killed before it has printed it."""
    if recording.agent.transcript is None or not recording.agent.chooses_session:
        return
    found = recording.transcript("", home)
    if recording.directory.name == "no_session":
        assert found is None
    else:
        assert found is not None
        assert found.session == recording.meta["session"]


def its_usage(recording: Recording, home: Path) -> None:
    """Check against what the mock served, whether the CLI prints it or only keeps it; line by line too."""
    usage = recording.meta["usage"]
    said, kept = recording.told(recording.output, recording.meta["session"], home)
    watched_as_it_runs(recording, home, said, kept)
    runs = [Spending(input=one[0], output=one[1]) for one in usage["runs"]]
    if recording.meta.get("usage_unknown"):
        assert said is None or said.spending.tokens == 0, "it can be known: say so in meta.json"
        assert kept is None or kept.spending.tokens == 0, "it can be known: say so in meta.json"
        return
    spent = of_attempt(said, kept, runs[:-1], "", recording.agent.prices)
    assert spent.tokens == usage["tokens"], (said, kept)
    if recording.agent.account == "claude":
        cached, kept_there = spent.cache_read, spent.cache_write
        read, written = usage["runs"][-1]
        dollars = (read - cached - kept_there) * 3 + cached * 0.3 + kept_there * 3.75 + written * 15
        assert (spent.cost or 0.0) == pytest.approx(dollars / 1e6)
        assert not spent.unknown


def watched_as_it_runs(recording: Recording, home: Path, said: Measured | None, kept: Measured | None) -> None:
    """The result of reading line by line is the same as at the end."""
    sight, inside = sights(recording.agent)
    assert measured(watched(recording.output, sight), recording.agent.usage) == said
    found = recording.transcript(recording.meta["session"], home)
    if found is not None and found.measured is None:
        files = (watched(text, inside) for text in (found.lines, *map(lines_of, found.also)))
        where = recording.agent.transcript_usage
        assert beside(measured(seen, where, conversation=True) for seen in files) == kept


def watched(text: bytes, sight: Sight) -> Seen:
    seen = Seen()
    for line in text.splitlines(keepends=True):
        seen = observe(seen, line, sight)
    return seen


def its_open_request(recording: Recording) -> None:
    """The service of ``hang`` and ``sigkill`` never answers the second request."""
    agent, case = recording.agent, recording.directory.name
    if agent.watch is None or agent.watch.request is None:
        assert not asks(agent, recording.output), "cannot be known"
    elif case in {"hang", "sigkill"}:
        assert asks(agent, recording.output)
    elif recording.meta["class"] == "ok":
        assert not asks(agent, recording.output)
        lines = recording.output.splitlines(keepends=True)
        assert asks(agent, b""), "the first answer is not there yet"
        ends = [b"".join(lines[: at + 1]) for at in range(len(lines))]
        running = agent.watch.calls or agent.watch.request
        calls = [end for end in ends if (found := list(read_events(end))) and matches(found[0].fields, running)]
        assert not any(asks(agent, end) for end in calls), "a tool runs, and no request"


@pytest.mark.parametrize(
    ("case", "known"),
    [("subagent", 5924), ("background", 2104), ("sigkill_subagent", 0), ("sigkill_background", 2104)],
)
def test_the_results_of_one_run_are_added_up(case: str, known: int) -> None:
    """A run that works in the background prints several; what was killed has only those so far."""
    recording = Recording(FIXTURES / "claude" / case / "meta.json")
    where = recording.agent.usage
    assert where is not None
    first = recording.output.split(b'"type":"result"', maxsplit=1)[0].count(b"\n") + 1
    lines = recording.output.splitlines(keepends=True)
    upto = measure(b"".join(lines[:first]), where)
    assert (upto.spending.input + upto.spending.cache_read if upto else 0) == known
    whole = measure(recording.output, where)
    again = measure(recording.output * 2, where)
    assert again == whole, "a line that is there twice counts once"


def test_presets_and_examples_are_all_a_user_writes() -> None:
    """A preset is an agent that was run; what nobody has run is an example in the docs."""
    assert names() == tuple(sorted(NAMES))
    for name in examples.names():
        agent = agent_of(name)
        assert agent.about, name
        assert agent.version, name
        assert agent.account == name
        assert agent.stop, name
        settings = examples.preset(name)
        assert settings is not None
        assert settings["install"], name
        if agent.prompt == "file":
            assert any("{prompt}" in part for part in agent.command), name
        if name in examples.NAMES:
            assert not agent.tested, name
        else:
            assert any(rule.class_ is Outcome.OK for rule in agent.rules), name
            assert agent.tested[-1] == real(name).version
            assert agent.usage or agent.transcript_usage or (agent.transcript and agent.transcript.database), name


@pytest.mark.parametrize("name", examples.NAMES)
def test_an_example_is_copied_into_agentjobs_toml(name: str) -> None:
    text = (examples.DIRECTORY / f"{name}.toml").read_text()
    agents = parse_policy(f'[profiles.default]\nagent = "{name}"\n{text}'.encode(), preset=preset).agents
    assert agents[name].about
    with pytest.raises(UserError, match=f'unknown agent "{name}"'):
        parse_policy(f'[profiles.default]\nagent = "{name}"\n'.encode(), preset=preset)


def test_every_recorded_agent_has_all_its_cases() -> None:
    from tests.realagents.cases import CASES

    for name in NAMES:
        there = {path.parent.name for path in RECORDINGS if path.parent.parent.name == name}
        missing = set(CASES) - there - ({"resume", "no_session"} if real(name).resume is None else set())
        assert not missing, f"{name}: {sorted(missing)}"


def test_a_review_that_discusses_limits_is_none() -> None:
    prose = (
        "You've hit your 5-hour limit · resets 3am. Claude AI usage limit reached|1795550400. 401 Unauthorized. "
        "API Error: 529 Overloaded. Prompt is too long. rate_limit_event rejected. Quota exceeded. "
        "exceeded your daily quota. litellm.RateLimitError. No conversation found with session ID x. turn.failed"
    )
    events: dict[str, list[dict[str, Any]]] = {
        "claude": [
            {"type": "assistant", "message": {"content": [{"type": "text", "text": prose}]}},
            {"type": "user", "message": {"content": [{"type": "tool_result", "content": prose}]}},
        ],
        "codex": [
            {"type": "item.completed", "item": {"type": "agent_message", "text": prose}},
            {"type": "item.completed", "item": {"type": "command_execution", "aggregated_output": prose}},
        ],
        "opencode": [
            {"type": "text", "sessionID": "ses_1", "part": {"type": "text", "text": prose}},
            {"type": "tool_use", "sessionID": "ses_1", "part": {"type": "tool", "state": {"output": prose}}},
        ],
        "kimi": [{"role": "assistant", "content": prose}, {"role": "tool", "content": prose}],
        "pi": [{"type": "turn_end", "message": {"stopReason": "toolUse", "content": [{"text": prose}]}}],
        "goose": [{"type": "message", "message": {"role": "assistant", "content": [{"text": prose}]}}],
        "gemini": [
            {"type": "message", "role": "assistant", "content": prose, "delta": True},
            {"type": "tool_result", "status": "error", "output": prose, "error": {"message": prose}},
        ],
        "qwen": [
            {"type": "assistant", "message": {"content": [{"type": "text", "text": prose}]}},
            {"type": "user", "message": {"content": [{"type": "tool_result", "is_error": True, "content": prose}]}},
        ],
        "copilot": [
            {"type": "assistant.message", "data": {"content": prose}},
            {"type": "tool.execution_complete", "data": {"success": False, "result": {"content": prose}}},
        ],
    }
    for name, said in events.items():
        output = b"".join(json.dumps(event).encode() + b"\n" for event in said)
        for code in (1, 143, 137):
            verdict = classify(
                state=Exited(code, 0.0), kill=None, output=output, output_bytes=len(output),
                rules=agent_of(name).rules, now=1e9,
            )  # fmt: skip
            assert verdict.outcome is Outcome.CRASHED, (name, code, verdict)


@pytest.mark.parametrize("name", ["aider", "mini-swe-agent", "crush"])
def test_what_a_model_says_in_plain_text_is_no_class_either(name: str) -> None:
    """These print the model's words as they are: only a line that begins as the program's own errors do counts."""
    said = (
        "The log says litellm.RateLimitError: RateLimitError: usage limit, try again in 3h.\n"
        "    litellm.exceptions.AuthenticationError: invalid\n"
        "If the agent run failed: 429, wait. Tokens: 5 sent, 7 received. Saved trajectory to nowhere.\n"
    )
    for code in (1, 143):
        verdict = classify(
            state=Exited(code, 0.0), kill=None, output=said.encode(), output_bytes=len(said),
            rules=agent_of(name).rules, now=1e9,
        )  # fmt: skip
        assert verdict.outcome is Outcome.CRASHED, verdict


@pytest.mark.parametrize("status", ["RepeatedFormatError", "LimitsExceeded", "TimeExceeded"])
def test_a_trajectory_may_be_saved_of_a_failure(status: str) -> None:
    output = f"Exit:\n{status}\n\nSaved trajectory to \n'/home/user/mini.json'\n".encode()
    verdict = classify(
        state=Exited(0, 0.0), kill=None, output=output, output_bytes=len(output),
        rules=agent_of("mini-swe-agent").rules, now=1e9,
    )  # fmt: skip
    assert verdict.outcome is (Outcome.CRASHED if status == "RepeatedFormatError" else Outcome.RUNAWAY)


def test_an_answer_of_aider_before_an_error_is_no_success() -> None:
    said = b"Tokens: 203 sent, 23 received.\nlitellm.ServiceUnavailableError: overloaded\n"
    for output, outcome in ((said, Outcome.OVERLOADED), (b"\n".join(said.splitlines()[::-1]), Outcome.OK)):
        verdict = classify(
            state=Exited(0, 0.0), kill=None, output=output, output_bytes=len(output),
            rules=agent_of("aider").rules, now=1e9,
        )  # fmt: skip
        assert verdict.outcome is outcome


def test_opencode_is_given_a_title_or_it_asks_the_model_for_one_and_counts_it_nowhere() -> None:
    agent = agent_of("opencode")
    for command in (agent.command, agent.resume):
        assert command is not None
        assert "--title" in command


def test_an_agent_whose_command_names_the_session_is_given_one() -> None:
    names = ("claude", "pi", "aider", "goose", "codex", "opencode", "kimi")
    chosen = {name: agent_of(name).chooses_session for name in names}
    assert chosen == {
        "claude": False, "pi": False, "aider": False, "goose": False, "codex": True, "opencode": True, "kimi": True,
    }  # fmt: skip


def test_the_path_of_a_transcript_may_name_the_conversation(tmp_path: Path) -> None:
    for session, cwd in (("one", "/work/tree"), ("two", "/work/other")):
        kept = tmp_path / "sessions" / "x" / f"run-1-{session}.d" / "wire.jsonl"
        kept.parent.mkdir(parents=True)
        kept.write_text(json.dumps({"cwd": cwd}) + "\n")
    where = Transcript(files=("${KEPT:-~/a/b}/sessions/*/run-*-{session}.d/*.jsonl",), owner={"cwd": "{tree}"})
    env = {"HOME": "/nowhere", "KEPT": str(tmp_path)}
    found = find(where, Whose(env=env, tree="/work/tree", since=0.0, own=""))
    assert found is not None
    assert found.session == "one"


@pytest.mark.parametrize("indent", [None, 2])
def test_a_transcript_may_be_one_value_over_many_lines(indent: int | None, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps({"kind": "run", "steps": [{"n": 3}, {"n": 4}]}, indent=indent))
    whose = Whose(env={}, session="s", tree="/", since=0.0, own=str(tmp_path))
    found = find(Transcript(files=("{dir}/t.json",)), whose)
    assert found is not None
    measured = measure(found.lines, Usage(event={"kind": "run"}, scope="session", tokens=("steps.*.n",)))
    assert measured is not None
    assert measured.spending.tokens == 7


def test_a_transcript_of_another_tree_is_not_ours(tmp_path: Path) -> None:
    for name, cwd in (("theirs", "/work/other"), ("mine", "/work/tree")):
        line = json.dumps({"type": "session_meta", "payload": {"cwd": cwd, "id": name}})
        (tmp_path / f"rollout-{name}.jsonl").write_text(line + "\n")
    os.utime(tmp_path / "rollout-theirs.jsonl", (2e9, 2e9))
    where = Transcript(
        files=("~/rollout-*.jsonl",), owner={"type": "session_meta", "payload.cwd": "{tree}"}, id="payload.id"
    )
    found = find(where, Whose(env={"HOME": str(tmp_path)}, tree="/work/tree", since=0.0, own=""))
    assert found is not None
    assert found.session == "mine"


# --- a fuzz over the recordings: what a killed, interleaved or broken program leaves is read without an exception

SAID = {meta.parent: Recording(meta) for meta in RECORDINGS}


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[Recording, bytes]:
    """Return a recording, and its output cut, mixed with another's, or with bytes in it that are not text."""
    one = draw(st.sampled_from(list(SAID.values())))
    output = one.output[draw(st.integers(0, len(one.output))) :][: draw(st.integers(0, len(one.output)))]
    if draw(st.booleans()):
        other = draw(st.sampled_from(list(SAID.values()))).output
        at, until = draw(st.integers(0, len(output))), draw(st.integers(0, len(other)))
        output = output[:at] + other[:until] + output[at:]
    if draw(st.booleans()):
        at = draw(st.integers(0, len(output)))
        output = output[:at] + draw(st.binary(max_size=20)) + output[at:]
    if draw(st.booleans()):
        lines = output.split(b"\n")
        output = b"\n".join(draw(st.permutations(lines)) if len(lines) < 12 else lines[::-1])
    return one, output


@settings(max_examples=300, deadline=None)
@given(spoiled())
def test_no_output_makes_the_interpreter_raise(spoiled: tuple[Recording, bytes]) -> None:
    one, output = spoiled
    verdict = one.verdict(output)
    assert "\n" not in verdict.detail
    assert verdict.reset_at >= 0
    for where in (one.agent.usage, one.agent.transcript_usage):
        measured = measure(output, where, conversation=where is one.agent.transcript_usage)
        if measured is not None:
            assert measured.spending.tokens >= 0
            assert since(measured, [Spending(input=5, output=7, cost=0.1)]).tokens >= 0
    learnt(output, one.agent.session)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([one for one in SAID.values() if one.meta["class"] == "ok"]), st.data())
def test_a_success_that_is_cut_off_is_none(one: Recording, data: st.DataObject) -> None:
    """Without its final event whole in the output an agent has not finished, whatever its exit code."""
    final = [event.line.encode() for event in read_events(one.output) if any(
        rule.event is not None and rule.class_ is Outcome.OK and matches(event.fields, rule.event)
        for rule in one.agent.rules
    )]  # fmt: skip
    if not final:
        return  # it is known by a line of text
    first = min(one.output.index(line) for line in final)
    output = one.output[: data.draw(st.integers(0, first + len(final[0]) // 2))]
    verdict = classify(
        state=Exited(0, 0.0), kill=None, output=output, output_bytes=len(output), rules=one.agent.rules, now=1e9
    )
    assert verdict.outcome is not Outcome.OK
