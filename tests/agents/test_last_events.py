"""The last event of an agent decides, however it is wrapped, and however far from the end of the log it stands."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.agents.classify import Ending, classify, finished
from agentjobs.agents.last_events import filter_for, last_word
from agentjobs.agents.output import Knowledge
from agentjobs.disk.logs import CHUNK_BYTES, TAIL_BYTES, lines_before, read_tail
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Exited, Kill, KillReason, Lost
from agentjobs.policy.agent_output import Watch
from agentjobs.text.json_lines import read_events
from agentjobs.text.masking import Masking
from agentjobs.text.toml import FieldError
from tests.agents.test_recordings import IDS, RECORDINGS, Recording, agent_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentjobs.policy.agents import Agent

LIMIT = 64 * 1024 * 1024
NOISE = b"npm notice a server that was left behind goes on logging\n"


def lines(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def reading(agent: Agent, log: Path | None = None, masking: Masking | None = None) -> Knowledge:
    earlier = partial(lines_before, log, LIMIT, masking) if log is not None else None
    return Knowledge(agent.watch, agent.text_after, earlier)


def judge(
    agent: Agent, output: bytes, code: int | None, why: str = "", scratch: Path | None = None, secret: str = ""
) -> Ending:
    """Classify as ``endings`` does; with ``scratch`` by way of a file, of which only the tail is given."""
    masking = Masking([("API_KEY", secret)]) if secret else None
    log, size = None, len(output)
    if scratch is not None:
        log = scratch / "output.log"
        log.write_bytes(output)
        output, size = read_tail(log, masking)
        size = size if size > TAIL_BYTES else len(output)
    return classify(
        state=Lost(0.0) if code is None else Exited(code, 0.0),
        kill=Kill(KillReason(why), 0.0) if why else None, output=output, output_bytes=size,
        rules=agent.rules, now=1e9, knowledge=reading(agent, log, masking),
    )  # fmt: skip


# --- what the last event of each agent is

CLAUDE_OK = {"type": "result", "subtype": "success", "is_error": False, "result": "done"}
CLAUDE_BAD = {**CLAUDE_OK, "is_error": True, "api_error_status": 529, "result": "API Error: 529 Overloaded"}
INIT = {"type": "system", "subtype": "init"}
SAYS = {"type": "assistant", "message": {"id": "m1", "content": [{"type": "text", "text": "I go on"}]}}
RETRY = {"type": "system", "subtype": "api_retry", "error": "overloaded"}
TEST = {"task_id": "b1", "task_type": "local_bash", "description": "npm test"}
BUSY = {"type": "system", "subtype": "background_tasks_changed", "tasks": [TEST]}
IDLE = {"type": "system", "subtype": "background_tasks_changed", "tasks": []}

ENDS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]] = {
    # what ends it well; what shows work after that; an error with a class, and the class
    "claude": ([SAYS, CLAUDE_OK], [SAYS], [CLAUDE_BAD]),
    "codex": (
        [{"type": "item.completed", "item": {"type": "agent_message"}}, {"type": "turn.completed"}],
        [{"type": "item.completed", "item": {"type": "command_execution"}}],
        [{"type": "turn.failed", "error": {"message": "unexpected status 503 Service Unavailable"}}],
    ),
    "gemini": (
        [{"type": "tool_use"}, {"type": "result", "status": "success"}],
        [{"type": "tool_use"}],
        [{"type": "result", "status": "error", "error": {"message": "UNAUTHENTICATED"}}],
    ),
    "opencode": (
        [{"type": "step_finish", "part": {"reason": reason}} for reason in ("tool-calls", "stop")],
        [{"type": "text", "part": {"metadata": {"compaction_continue": True}, "text": "Continue"}}],
        [{"type": "error", "error": {"name": "APIError", "data": {"statusCode": 503}}}],
    ),
    "copilot": (
        [{"type": "assistant.message"}, {"type": "result", "exitCode": 0}],
        [{"type": "assistant.message"}],
        [{"type": "session.error", "data": {"statusCode": 503}}],
    ),
    "kimi": ([{"role": "assistant"}, {"type": "session.resume_hint"}], [{"role": "assistant"}], []),
    "qwen": (
        [{"type": "assistant"}, {"type": "result", "subtype": "success", "is_error": False}],
        [{"type": "assistant"}],
        [{"type": "result", "is_error": True, "error": {"message": "[API Error: 503 x]"}}],
    ),
    "pi": (
        [{"type": "turn_end", "message": {"stopReason": "stop"}}],
        [{"type": "turn_end", "message": {"stopReason": "toolUse"}}],
        [{"type": "turn_end", "message": {"stopReason": "error", "errorMessage": "503 overloaded"}}],
    ),
    "goose": ([{"type": "complete"}], [{"type": "message", "message": {"role": "assistant"}}], [
        {"type": "error", "error": "server error"}]),
    "amp": ([CLAUDE_OK], [{"type": "assistant"}], [{"type": "result", "is_error": True, "error": "overloaded"}]),
    "cursor": ([CLAUDE_OK], [{"type": "assistant"}], []),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_the_last_event_decides(name: str) -> None:
    agent, (well, work, error) = agent_of(name), ENDS[name]
    for code in (0, 1, 2, 137, None):
        verdict = judge(agent, lines(*well), code)
        assert verdict.outcome is Outcome.OK, (code, verdict)
        assert code is None or code == 0 or f"exit {code}" in verdict.detail
        assert judge(agent, lines(*well, *work), code).outcome in {Outcome.CRASHED, Outcome.LOST}, code
        assert judge(agent, lines(*well, *work, *well), code).outcome is Outcome.OK, code
        if error:
            assert judge(agent, lines(*well, *error), code).outcome in {Outcome.OVERLOADED, Outcome.AUTH}, code
            assert judge(agent, lines(*well, *error, *work, *well), code).outcome is Outcome.OK, code
    assert judge(agent, lines(*well), 143, "hung").outcome is Outcome.OK
    assert judge(agent, lines(*well, *work), 143, "hung").outcome is Outcome.STALLED
    assert judge(agent, lines(*well), 143, "timeout").outcome is Outcome.TIMEOUT
    assert finished(lines(*well), agent.rules, reading(agent))
    assert not finished(lines(*well, *work), agent.rules, reading(agent))


STRANGE: dict[str, list[dict[str, Any]]] = {
    "claude": [
        {"type": "result", "subtype": "success", "is_error": True, "result": "boom odd"},
        {"type": "result", "subtype": "error_during_execution", "is_error": False},
        {"type": "something_failed", "why": "odd"},
    ],
    "codex": [{"type": "turn.failed", "error": {"message": "odd"}}, {"type": "turn.started"}],
    "gemini": [{"type": "result", "status": "error", "error": {"message": "odd"}}],
    "pi": [{"type": "turn_start"}, {"type": "tool_execution_start", "toolName": "bash"}],
}


@pytest.mark.parametrize("name", STRANGE)
def test_an_error_after_the_final_event_speaks_against_it_in_whatever_words(name: str) -> None:
    agent, well = agent_of(name), ENDS[name][0]
    for error in STRANGE[name]:
        for code in (0, 1, 137):
            assert judge(agent, lines(*well, error), code).outcome is not Outcome.OK, (error, code)
            array = json.dumps([*well, error]).encode()
            assert judge(agent, array, code).outcome is not Outcome.OK, (error, code)


@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "pi"])
def test_who_is_killed_while_it_writes_one_more_event_has_not_ended(name: str) -> None:
    agent, well = agent_of(name), ENDS[name][0]
    assert judge(agent, lines(*well), 137).outcome is Outcome.OK
    assert judge(agent, lines(*well) + b'{"type":"assist', 137).outcome is not Outcome.OK
    assert judge(agent, lines(*well) + b"{odd, but no event", 137).outcome is Outcome.OK


def test_another_exit_code_is_no_success_where_something_speaks_against_it() -> None:
    claude = agent_of("claude")
    assert judge(claude, lines(CLAUDE_OK, RETRY), 1).outcome is Outcome.OVERLOADED
    assert judge(claude, lines(CLAUDE_OK, RETRY), 0).outcome is Outcome.OK
    assert judge(claude, lines(CLAUDE_OK, INIT), 0).outcome is Outcome.CRASHED
    said = lines(CLAUDE_OK) + b"No conversation found with session ID x\n"
    assert judge(claude, said, 1).outcome is Outcome.NO_SESSION
    assert judge(agent_of("gemini"), lines({"type": "result", "status": "success"}), 41).outcome is Outcome.AUTH


# --- work in the background


def test_announced_work_is_waited_for() -> None:
    claude = agent_of("claude")
    for said, over in (
        ([BUSY, CLAUDE_OK], False),
        ([CLAUDE_OK, BUSY], False),
        ([BUSY, CLAUDE_OK, IDLE], False),  # it goes on by itself
        ([BUSY, CLAUDE_OK, IDLE, INIT, SAYS, CLAUDE_OK], True),
        ([BUSY, IDLE, CLAUDE_OK], True),
        ([CLAUDE_OK], True),
    ):
        assert finished(lines(*said), claude.rules, reading(claude)) is over, said
        assert judge(claude, lines(*said), 0).outcome is Outcome.OK, "it has ended by itself"
        for code in (1, 137, None):
            assert (judge(claude, lines(*said), code).outcome is Outcome.OK) is over, (said, code)
        assert (judge(claude, lines(*said), 143, "hung").outcome is Outcome.OK) is over, said
    verdict = judge(claude, lines(BUSY, CLAUDE_OK), 143, "stalled")
    assert verdict.outcome is Outcome.STALLED
    assert verdict.detail.endswith("while work in the background was not done: npm test")


def test_announced_work_is_found_far_from_the_end(tmp_path: Path) -> None:
    talk = {**SAYS, "message": {"id": "m", "content": "x" * 1000}}
    said = lines(BUSY, *[talk] * 2000, CLAUDE_OK)
    assert judge(agent_of("claude"), said, 1, scratch=tmp_path).outcome is not Outcome.OK
    said = lines(BUSY, IDLE, *[talk] * 2000, CLAUDE_OK)
    assert judge(agent_of("claude"), said, 1, scratch=tmp_path).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("tasks", "names"), [([], ()), ({}, ()), (0, ()), (None, ()), (2, ("a task",)), (["x", ""], ("x", "a task")),
                         ([{"description": "d"}, {}], ("d", "a task")), ({"a": {"description": "d"}}, ("d",))],
)  # fmt: skip
def test_what_a_list_of_tasks_may_be(tasks: object, names: tuple[str, ...]) -> None:
    from agentjobs.agents.last_events import tasks_in

    assert tasks_in({"tasks": tasks}, "tasks") == names


def test_a_list_needs_its_place() -> None:
    with pytest.raises(FieldError):
        Watch(background={"type": "x"})


# --- however it is wrapped


def as_array(output: bytes) -> bytes:
    events = [event.fields for event in read_events(output)]
    plain = [line for line in output.split(b"\n") if line.strip() and not line.lstrip().startswith((b"{", b"["))]
    return json.dumps(events[::-1]).encode() + b"\n" + b"\n".join(plain)


def each_line(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def changed(output: bytes) -> bytes:
        return b"\n".join(change(line) if line.startswith(b"{") else line for line in output.split(b"\n"))

    return changed


WRAPS: dict[str, Callable[[bytes], bytes]] = {
    "array": as_array,
    "title": each_line(lambda line: b"\x1b]0;claude\x07" + line),
    "title without an end": each_line(lambda line: b"\x1b]0;claude" + line),
    "colours": each_line(lambda line: b"\x1b[?25h\x1b[1;32m" + line + b"\x1b[0m"),
    "progress": each_line(lambda line: b"progress 12%\rprogress 99%\r" + line),
    "warning before": each_line(lambda line: b"(node:1) Warning: [x] {y} " + line),
    "warning after": each_line(lambda line: line + b"(node:1) Warning: {y}"),
    "crlf": lambda output: output.replace(b"\n", b"\r\n"),
    "nul and bad bytes": each_line(lambda line: b"\x00\xff\xfe" + line + b"\x00"),
    "noise before": lambda output: NOISE * 5_000 + output,
    "one line": lambda output: b"".join(line for line in output.split(b"\n") if line.startswith(b"{")) + b"\n"
    + b"\n".join(line for line in output.split(b"\n") if not line.startswith(b"{")),
}  # fmt: skip


@pytest.mark.sample(10)
@pytest.mark.parametrize("meta", RECORDINGS, ids=IDS)
def test_wrapping_changes_no_class(meta: Path, tmp_path: Path) -> None:
    recording = Recording(meta)
    text = meta.parent.parent.name in {"aider", "mini-swe-agent"}
    state, kill = recording.ending()
    code, why = (state.code if isinstance(state, Exited) else None), (kill.why if kill else "")
    for name, wrap in WRAPS.items():
        scratch = tmp_path if name == "noise before" else None
        verdict = judge(recording.agent, wrap(recording.output), code, why, scratch)
        assert verdict.outcome is Outcome(recording.meta["class"]), (name, verdict)
    if not text and any(event for event in read_events(recording.output)):
        # Text rules look at the last lines only: what is known by an event is known however far it is.
        classes = {rule.class_ for rule in recording.agent.rules if rule.event is not None} | {Outcome.CRASHED}
        plain = b"".join(line + b"\n" for line in recording.output.split(b"\n") if line.startswith(b"{"))
        before = judge(recording.agent, plain, code, why).outcome
        if before in classes:
            after = judge(recording.agent, plain + NOISE * 5_000, code, why, tmp_path)
            assert after.outcome is before, after


@pytest.mark.sample(2)
@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("size", [TAIL_BYTES - 60, TAIL_BYTES, 300_000, CHUNK_BYTES * 3])
def test_a_long_event_far_from_the_end(size: int, code: int, tmp_path: Path) -> None:
    claude = agent_of("claude")
    events: list[Any] = [INIT, SAYS, {**CLAUDE_OK, "result": "x" * size}]
    for after in (b"", NOISE, NOISE * (size // len(NOISE)), b"no end of line " * 19_000):
        assert judge(claude, lines(*events) + after, code, scratch=tmp_path).outcome is Outcome.OK, len(after)
        assert judge(claude, lines(*events).strip() + after, code, scratch=tmp_path).outcome is Outcome.OK, len(after)
    many: list[Any] = [INIT, *[{**SAYS, "n": n, "text": "y" * 500} for n in range(size // 500)], CLAUDE_OK]
    assert judge(claude, json.dumps(many).encode(), code, scratch=tmp_path).outcome is Outcome.OK
    assert judge(claude, json.dumps(many[:-1]).encode(), code, scratch=tmp_path).outcome is Outcome.CRASHED


def test_an_event_that_a_model_quotes_is_none() -> None:
    claude, quoted = agent_of("claude"), json.dumps(CLAUDE_OK)
    said = {"type": "assistant", "message": {"content": [{"type": "text", "text": f"It prints {quoted}\n{quoted}"}]}}
    whole = json.dumps(said).encode()
    for output in (whole, b"(node:1) Warning " + whole, b"\x1b[0m" + whole, whole[:-30], b"x " + whole[:-1],
                   json.dumps([said]).encode(), json.dumps([said]).encode()[:-9]):  # fmt: skip
        for code in (0, 1, 137):
            assert judge(claude, output, code).outcome is Outcome.CRASHED, (output, code)


def test_words_of_another_event_of_an_array_are_not_searched_for_a_reset() -> None:
    said = {"type": "user", "text": "resets at 1:30pm (UTC)"}
    limit = {**CLAUDE_OK, "is_error": True, "api_error": "usage_limit_reached", "result": "limit"}
    assert judge(agent_of("claude"), json.dumps([said, limit]).encode(), 1).reset_at == 0


def test_a_secret_is_masked_wherever_the_event_stands(tmp_path: Path) -> None:
    secret = "sk-ant-0123456789abcdef"
    for distance in (0, TAIL_BYTES - 90, TAIL_BYTES, 3 * TAIL_BYTES):
        said = lines({**CLAUDE_BAD, "result": f"API Error: 529 for {secret}"}) + b"n\n" * (distance // 2)
        verdict = judge(agent_of("claude"), said, 1, scratch=tmp_path, secret=secret)
        assert verdict.outcome is Outcome.OVERLOADED
        assert "***API_KEY***" in verdict.detail, distance


def test_only_the_tail_is_read_where_it_decides(tmp_path: Path) -> None:
    def refuse(_: object) -> Any:
        raise AssertionError("read more than the tail")

    claude = agent_of("claude")
    for said, code in (([SAYS, CLAUDE_OK], 0), ([CLAUDE_BAD], 1)):
        output = NOISE * 3000 + lines(*said)
        classify(
            state=Exited(code, 0.0), kill=None, output=output[-TAIL_BYTES:], output_bytes=len(output) * 9,
            rules=[rule for rule in claude.rules if rule.reset_event is None], now=1e9,
            knowledge=Knowledge(claude.watch, None, refuse),
        )  # fmt: skip


# --- what the model wrote in plain text

QUOTES = {
    "aider": "litellm.RateLimitError: RateLimitError: usage limit reached per day, resets in 5 hours\n",
    "mini-swe-agent": "Exit:\nlitellm.exceptions.RateLimitError: usage limit reached, resets in 5 hours\n",
    "crush": "error: agent run failed: usage limit reached, resets in 5 hours\n",
}
BETWEEN = {"aider": "Tokens: 1.2k sent, 345 received. Cost: $0.01 message.\n", "mini-swe-agent": "", "crush": ""}


@pytest.mark.parametrize("name", QUOTES)
@pytest.mark.parametrize("why", ["stalled", "timeout"])
def test_a_limit_that_a_model_quotes_in_plain_text_is_none(name: str, why: str) -> None:
    agent = agent_of(name)
    for quote in (
        QUOTES[name],
        "Tokens: 5 sent, 7 received.\n" + QUOTES[name],
        "Saved trajectory to x\n" + QUOTES[name],
    ):
        said = f"I read the log:\n{quote}That is all.\n{BETWEEN[name]}".encode()
        assert judge(agent, said, 143, why).outcome is Outcome(why), said
        assert judge(agent, said, 137).outcome is Outcome.CRASHED, said
        assert not finished(said, agent.rules, reading(agent)), "it may be asked for more"


def test_the_error_after_a_quote_is_the_one_that_counts() -> None:
    quote = QUOTES["aider"] + BETWEEN["aider"] + "litellm.AuthenticationError: invalid key\n"
    assert judge(agent_of("aider"), quote.encode(), 0).outcome is Outcome.AUTH
    quote = QUOTES["mini-swe-agent"] + "Traceback (most recent call last):\n" + "  x\n" * 99 + (
        "litellm.exceptions.AuthenticationError: invalid key\n")  # fmt: skip
    assert judge(agent_of("mini-swe-agent"), quote.encode(), 1).outcome is Outcome.AUTH


PIECES = st.sampled_from([
    b"{", b'{"', b"}", b"[", b"]", b'"', b"\n", b"\r", b"\r\n", b"\x1b[31m", b"\x1b]0;", b"\x07", b"\x00", b"\xff",
    json.dumps(CLAUDE_OK).encode(), json.dumps(BUSY).encode(), json.dumps(SAYS).encode()[:40],
    b'{"a":' * 3000, b"[" * 3000,
    b'{"type":"\\ud800"}', b'{"type":1e999}', b'{"n":' + b"9" * 5000 + b"}", NOISE, b'[{"type":"result"},',
])  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=15).map(b"".join)), st.sampled_from([0, 1, None]))
def test_no_bytes_make_it_raise(output: bytes, code: int | None) -> None:
    claude = agent_of("claude")
    judge(claude, output, code)
    last_word(read_events(output), claude.rules, claude.watch, code)


@pytest.mark.parametrize("piece", [b'{"a":', b"[", b'x{"a":', b'{"a"', b"\r{", b'{"a":1}', b'x{"a":1}\n', b"[{"])
def test_two_megabytes_of_anything_are_read_quickly(piece: bytes) -> None:
    assert len(list(read_events(piece * (2_000_000 // len(piece))))) >= 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=40), st.integers(10, 90), st.integers(5, 60), st.booleans())
def test_lines_before_the_tail_are_all_lines(sizes: list[int], tail: int, chunk: int, ends: bool) -> None:
    import tempfile
    from pathlib import Path

    from agentjobs.disk import logs

    whole = [b"%d:" % n + b"x" * size for n, size in enumerate(sizes)]
    data = b"\n".join(whole) + (b"\n" if ends else b"")
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "TAIL_BYTES", tail)
        patch.setattr(logs, "CHUNK_BYTES", chunk)
        log = Path(scratch) / "log"
        log.write_bytes(data)
        rest = read_tail(log, None, tail)[0].partition(b"\n")[2].split(b"\n") if len(data) > tail else []
        before = list(lines_before(log, LIMIT))
        assert before == (data.split(b"\n")[: len(before)])[::-1]
        if len(data) > tail:
            kept = rest if b"\n" in data[-tail:] else []
            assert before[::-1] + kept == data.split(b"\n")


def test_a_quick_test_lets_through_what_may_match() -> None:
    wanted = {"type": "result", "is_error": False, "error.message": "re:^Quota"}
    test = filter_for([wanted])
    assert test is not None
    assert test(lines({"type": "result", "is_error": False, "error": {"message": "Quota"}}))
    assert not test(lines({"type": "assistant"}))
    assert filter_for([wanted, {"parent": "re:^$"}]) is None
    assert filter_for([{"n": 1}]) is None
