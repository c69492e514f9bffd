"""Streams of agents read as people read them: what was run, edited and said, by the `reading` of the presets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.agents.stream import Said, doing, event_words, excerpt, last_words, lines_for_people, read
from agentjobs.policy.agent_output import Reading
from agentjobs.text.json_lines import read_events
from agentjobs.text.toml import FieldError
from tests.agents.test_recordings import IDS, RECORDINGS, SAID, Recording, agent_of
from tests.kit.examples import names

COMMAND = "printf %s 'ok"
"""What a mock model asks for in each recording that edits: tests/realagents/cases.py."""
PLAIN = {"aider", "mini-swe-agent", "crush"}
"""Agents that print what the model wrote as it is."""
WORKED = {"ok", "hang", "sigkill"}
FINISHED = {"ok", "resume"}


@pytest.mark.parametrize("meta", RECORDINGS, ids=IDS)
def test_a_recording_tells_what_was_done(meta: Any) -> None:
    recording = Recording(meta)
    name, case = recording.meta["agent"], recording.directory.name
    said = read(recording.output, recording.agent.reading)
    kinds = {kind for kind, _ in said}
    if name in PLAIN:
        if case in FINISHED and name == "aider":
            assert Said("edits", "out.txt") in said
        assert excerpt(recording.output, recording.agent.reading), "plain text stays plain"
        return
    if case in WORKED and recording.meta["class"] in {"ok", "stalled", "crashed"}:
        assert any(kind == "runs" and COMMAND in text for kind, text in said), said
    if case in FINISHED:
        assert [text for kind, text in said if kind == "says"][-1] == "Done."
        assert "done" in kinds
        assert "error" not in kinds
    if recording.meta["class"] not in {"ok", "stalled"} and not case.startswith("sigkill"):
        assert "error" in kinds, said
    for line in lines_for_people(recording.output, recording.agent.reading):
        assert '{"type"' not in line
        assert "\n" not in line
        assert len(line) <= 400


@pytest.mark.parametrize("name", sorted(set(names()) - PLAIN))
def test_each_preset_reads_text_commands_errors_and_the_end(name: str) -> None:
    kinds = {entry.kind for entry in agent_of(name).reading}
    assert {"error", "says", "runs", "edits", "done"} <= kinds


EDITS: dict[str, tuple[dict[str, Any], str]] = {
    "claude": ({"type": "assistant", "message": {"content": [
        {"type": "thinking", "thinking": "hm"},
        {"type": "tool_use", "name": "Edit", "input": {"file_path": "src/a.py", "old_string": "x"}}]}}, "src/a.py"),
    "qwen": ({"type": "assistant", "message": {"content": [
        {"type": "tool_use", "name": "write_file", "input": {"file_path": "src/a.py", "content": "x"}}]}}, "src/a.py"),
    "codex": ({"type": "item.completed", "item": {"type": "file_change", "changes": [
        {"path": "src/a.py", "kind": "update"}, {"path": "b.py", "kind": "add"}]}}, "src/a.py b.py"),
    "gemini": ({"type": "tool_use", "tool_name": "replace", "parameters": {"file_path": "src/a.py"}}, "src/a.py"),
    "opencode": ({"type": "tool_use", "part": {"tool": "edit", "state": {"input": {"filePath": "src/a.py"}}}},
                 "src/a.py"),
    "copilot": ({"type": "tool.execution_start", "data": {"toolName": "create", "arguments": {"path": "src/a.py"}}},
                "src/a.py"),
    "kimi": ({"role": "assistant", "tool_calls": [
        {"function": {"name": "Edit", "arguments": '{"path": "src/a.py"}'}}]}, "src/a.py"),
    "pi": ({"type": "tool_execution_start", "toolName": "edit", "args": {"path": "src/a.py"}}, "src/a.py"),
    "goose": ({"type": "message", "message": {"role": "assistant", "content": [{"type": "toolRequest", "toolCall": {
        "value": {"name": "developer__text_editor", "arguments": {"path": "src/a.py"}}}}]}}, "src/a.py"),
    "cursor": ({"type": "tool_call", "subtype": "started",
                "tool_call": {"editToolCall": {"args": {"path": "src/a.py"}}}}, "src/a.py"),
    "amp": ({"type": "assistant", "message": {"content": [
        {"type": "tool_use", "name": "edit_file", "input": {"path": "src/a.py"}}]}}, "src/a.py"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(EDITS))
def test_an_edit_is_told(name: str) -> None:
    event, path = EDITS[name]
    output = json.dumps(event).encode() + b"\n"
    assert Said("edits", path) in read(output, agent_of(name).reading)
    assert doing(output, agent_of(name).reading) == f"edits {path}"


def test_every_recorded_agent_but_plain_ones_tells_edits() -> None:
    assert set(EDITS) == set(names()) - PLAIN


def test_pieces_of_one_text_are_one() -> None:
    parts = ("I will ", "do it.")
    pieces = [{"type": "message", "role": "assistant", "content": part, "delta": True} for part in parts]
    output = "\n".join(map(json.dumps, [*pieces, {"type": "result", "status": "success"}, pieces[0]])).encode()
    assert read(output, agent_of("gemini").reading) == [
        Said("says", "I will do it."), Said("done", ""), Said("says", "I will "),
    ]  # fmt: skip


def test_an_error_that_was_overcome_is_not_the_message() -> None:
    reading = agent_of("codex").reading
    failed = {"type": "error", "message": "Reconnecting... 1/5 (stream disconnected)"}
    went_on = {"type": "item.completed", "item": {"type": "agent_message", "text": "I go on."}}
    lines = [json.dumps(one).encode() for one in (failed, went_on)]
    assert last_words(list(read_events(b"\n".join(lines))), [], reading) == ""
    assert last_words(list(read_events(b"\n".join(lines[::-1]))), [], reading).startswith("Reconnecting")


def test_the_last_event_wins_over_what_led_to_it_and_over_plain_lines() -> None:
    reading = agent_of("codex").reading
    events = [{"type": "turn.failed", "error": {"message": "Quota exceeded."}}, {"type": "error", "message": "later"}]
    output = b"\n".join(json.dumps(one).encode() for one in events)
    lines = ["WARNING: proceeding, even though we could not create PATH aliases", "Error: something on stderr"]
    assert last_words(list(read_events(output)), lines, reading) == "Quota exceeded."
    assert last_words([], lines, reading) == "something on stderr"
    assert last_words([], lines[:1], reading) == ""


def test_an_event_without_words_is_named() -> None:
    (event,) = read_events(b'{"type":"result","subtype":"error_max_turns","is_error":true,"num_turns":3}')
    assert event_words(event) == "result error_max_turns"
    assert event_words(event, agent_of("claude").reading) == "error_max_turns"


def test_an_agent_without_reading_is_read_by_what_its_lines_hold() -> None:
    output = b'plain\n{"type":"note","message":"first"}\n{"type":"end"}\n'
    assert lines_for_people(output, ()) == ["plain", "first", "end"]
    assert excerpt(b"plain {x}\n", ()) == "plain {x}"


def test_the_excerpt_of_a_limit_is_no_raw_json() -> None:
    recording = next(one for one in SAID.values() if one.directory.name == "limit" and one.meta["agent"] == "claude")
    said = excerpt(recording.output, recording.agent.reading)
    assert "You've hit your 5-hour limit" in said
    assert "{" not in said


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"kind": "says"}, "kind"),
        ({"kind": "says", "event": {"type": "x"}, "line": "x"}, "kind"),
        ({"kind": "says", "event": {}}, "event"),
        ({"kind": "says", "event": {"a..b": 1}}, "event"),
        ({"kind": "says", "event": {"type": "x"}, "text": ("a.",)}, "text"),
        ({"kind": "says", "event": {"type": "x"}, "part": {"type": "y"}}, "part"),
        ({"kind": "error", "line": "("}, "line"),
        ({"kind": "error", "line": "x", "text": ("a",)}, "line"),
    ],
)
def test_a_wrong_entry_is_an_error_that_names_its_key(wrong: dict[str, Any], key: str) -> None:
    with pytest.raises(FieldError) as error:
        Reading(**wrong)
    assert error.value.key == key


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(SAID.values())), st.sampled_from(names()), st.data())
def test_no_output_makes_the_reader_raise(one: Recording, name: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(one.output)))
    output = one.output[begin:] + data.draw(st.binary(max_size=30))
    reading = agent_of(name).reading
    for line in lines_for_people(output, reading):
        assert len(line) <= max(400, len(output))
    excerpt(output, reading)
    doing(output, reading)
    last_words(list(read_events(output)), output.decode("utf-8", "replace").split("\n"), reading)
