"""The mock model server: what it answers, what it spoils, what it writes down. And what was recorded with it."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from agentjobs.model import Outcome
from tests.mockmodel import MockModel, tool_call

RECORDINGS = sorted((Path(__file__).parent / "fixtures" / "agents").glob("*/*/meta.json"))
EDIT: list[dict[str, Any]] = [
    {"write": {"path": "a.txt", "text": "ok"}, "usage": [7, 3]},
    {"text": "Done.", "usage": [11, 5]},
]
TOOLS: dict[str, dict[str, Any]] = {
    "/v1/messages": {"name": "Bash"},
    "/v1/responses": {"type": "function", "name": "exec_command"},
    "/v1/chat/completions": {"type": "function", "function": {"name": "bash"}},
}


def ask(model: MockModel, path: str, **more: Any) -> bytes:
    asked = {"model": "m", "tools": [TOOLS[path]], "messages": [{"role": "user", "content": "hello"}], **more}
    request = urllib.request.Request(model.address + path, json.dumps(asked).encode(), {"X-Test": "1"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        read: bytes = answer.read()
    return read


def words(answer: Any) -> str:
    """Return everything an answer says, as text."""
    return json.dumps(answer)


@pytest.mark.parametrize("path", TOOLS)
def test_a_call_of_an_offered_tool_and_then_a_text(path: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with MockModel(EDIT, log) as model:
        first = json.loads(ask(model, path))
        assert "printf %s ok > a.txt" in words(first)
        assert "Done." in words(json.loads(ask(model, path)))
        assert "Done." in ask(model, path, stream=True).decode(), "the last step repeats"
        assert model.served() == (7 + 11 + 11, 3 + 5 + 5)
    assert [json.loads(line)["stream"] for line in log.read_text().splitlines()] == [False, False, True]


@pytest.mark.parametrize("path", TOOLS)
def test_a_stream_holds_what_the_whole_answer_holds(path: str) -> None:
    with MockModel([EDIT[0]]) as model:
        whole, stream = json.loads(ask(model, path)), ask(model, path, stream=True)
    parts = [line[6:] for line in stream.decode().splitlines() if line.startswith("data: {")]
    assert parts
    assert all(isinstance(json.loads(part), dict) for part in parts)
    assert "printf %s ok > a.txt" in words(whole)
    assert "printf %s ok > a.txt" in stream.decode()


def test_a_request_without_tools_uses_up_no_step() -> None:
    with MockModel(EDIT) as model:
        assert "ok" in words(json.loads(ask(model, "/v1/messages", tools=[])))
        assert "a.txt" in words(json.loads(ask(model, "/v1/messages")))
        assert model.served() == (7, 3)


def test_what_is_spoiled_counts_as_not_served() -> None:
    script: list[dict[str, Any]] = [
        {"status": 429, "message": "slow down", "error": "rate_limit_error", "headers": {"retry-after": "7"}},
        {"text": "Half of it", "fault": "cut"},
    ]
    with MockModel(script) as model:
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(model, "/v1/messages")
        assert (refused.value.code, refused.value.headers["retry-after"]) == (429, "7")
        assert json.loads(refused.value.read())["error"]["type"] == "rate_limit_error"
        with pytest.raises(IncompleteRead) as cut:
            ask(model, "/v1/messages", stream=True)
        assert b"message_stop" not in cut.value.partial
        assert model.served() == (0, 0)


def test_an_answer_may_break_off_that_is_no_stream() -> None:
    with MockModel([{"text": "Half of it", "fault": "broken"}]) as model:
        for stream in (False, True):
            with pytest.raises(IncompleteRead):
                ask(model, "/v1/chat/completions", stream=stream)
        assert model.served() == (0, 0)


def test_a_limit_may_say_how_long_it_lasts_yet() -> None:
    script = [{"status": 429, "message": "try again in {left}.", "until": time.time() + 3 * 3600 + 25 * 60 + 10}]
    with MockModel(script) as model, pytest.raises(urllib.error.HTTPError) as refused:
        ask(model, "/v1/messages")
    assert re.fullmatch(r"try again in 3h2[45]m\d+s\.", json.loads(refused.value.read())["error"]["message"])


@pytest.mark.parametrize("path", TOOLS)
def test_a_command_is_run_by_a_shell_that_is_offered(path: str) -> None:
    with MockModel([{"run": "echo done > a.txt"}]) as model:
        assert "echo done > a.txt" in words(json.loads(ask(model, path)))


def test_a_plain_step_is_for_requests_without_tools_too() -> None:
    with MockModel([{"plain": True, "text": "a.txt: ok", "usage": [7, 3]}, EDIT[1]]) as model:
        assert "a.txt: ok" in words(json.loads(ask(model, "/v1/messages", tools=[])))
        assert "Done." in words(json.loads(ask(model, "/v1/messages")))
        assert [request["side"] for request in model.requests] == [False, False]


def test_a_hang_ends_with_the_server() -> None:
    with MockModel([{"fault": "hang"}]) as model:
        request = urllib.request.Request(model.address + "/v1/messages", json.dumps({"tools": [{}]}).encode())
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(request, timeout=0.3)
        assert len(model.requests) == 1


def test_the_log_tells_whether_earlier_turns_are_in_a_request() -> None:
    with MockModel(EDIT) as model:
        ask(model, "/v1/messages")
        ask(model, "/v1/messages", messages=[{"role": "user"}, {"role": "assistant"}, {"role": "user"}])
        ask(model, "/v1/responses", messages=None, input=[{"type": "function_call"}])
        assert [request["earlier_turns"] for request in model.requests] == [False, True, True]


def test_a_request_whose_tools_cannot_write_is_an_error_of_the_test() -> None:
    with pytest.raises(LookupError, match="Grep"):
        tool_call({"tools": [{"name": "Grep"}]}, "a", "b")


@pytest.mark.parametrize("meta", RECORDINGS, ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}")
def test_recordings_name_no_machine(meta: Path) -> None:
    told = json.loads(meta.read_text())
    assert Outcome(told["class"])
    assert (told["exit"] is None) != (told["signal"] is None)
    for name in ("stdout", "stderr"):
        text = (meta.parent / name).read_text()
        assert len(text) < 60_000
        assert "/root" not in text
        assert "127.0.0.1:" not in text.replace("127.0.0.1:0", "")
