"""The mock model server: what it answers, what it spoils, what it writes down. And what was recorded with it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from agentjobs.model.outcomes import Outcome
from tests.kit.mockmodel import MockModel, tool_call

RECORDINGS = sorted((Path(__file__).parents[1] / "fixtures" / "agents").glob("*/*/meta.json"))
EDIT: list[dict[str, Any]] = [
    {"write": {"path": "a.txt", "text": "ok"}, "usage": [7, 3]},
    {"text": "Done.", "usage": [11, 5]},
]
TOOLS: dict[str, dict[str, Any]] = {
    "/v1/messages": {"name": "Bash"},
    "/v1/responses": {"type": "function", "name": "exec_command"},
    "/v1/chat/completions": {"type": "function", "function": {"name": "bash"}},
    "/v1beta/models/m:generateContent": {"functionDeclarations": [{"name": "run_shell_command"}]},
}


def ask(model: MockModel, path: str, **more: Any) -> bytes:
    asked = {"model": "m", "tools": [TOOLS.get(path)], "messages": [{"role": "user", "content": "hello"}], **more}
    if more.get("stream"):
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    request = urllib.request.Request(model.address + path, json.dumps(asked).encode(), {"X-Test": "1"})
    with urllib.request.urlopen(request, timeout=100) as answer:
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


def test_of_the_input_some_may_be_cached() -> None:
    with MockModel([{"text": "Done.", "usage": [100, 9, 60]}]) as model:
        told = {path: json.loads(ask(model, path)) for path in TOOLS}
        assert model.served() == (400, 36)
    usage = told["/v1/messages"]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (40, 60), "Anthropic counts them apart"
    assert told["/v1/responses"]["usage"]["input_tokens_details"] == {"cached_tokens": 60}
    assert told["/v1/chat/completions"]["usage"]["prompt_tokens"] == 100
    usage = told["/v1beta/models/m:generateContent"]["usageMetadata"]
    assert (usage["promptTokenCount"], usage["cachedContentTokenCount"], usage["totalTokenCount"]) == (100, 60, 109)
    assert (usage["candidatesTokenCount"], usage["thoughtsTokenCount"]) == (6, 3)


def test_a_request_to_count_tokens_uses_up_no_step() -> None:
    with MockModel([EDIT[0]]) as model:
        assert "tokens" in words(json.loads(ask(model, "/v1/messages/count_tokens", tools=[{"name": "Bash"}])))
        assert "totalTokens" in words(json.loads(ask(model, "/v1beta/models/m:countTokens", tools=[])))
        assert model.requests == []


def test_gemini_has_its_own_form_of_everything() -> None:
    """The path says whether it is a stream; usage comes at the end of it; errors are Google's."""
    path = "/v1beta/models/m:generateContent"
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "40s"}]
    script: list[dict[str, Any]] = [*EDIT, {"status": 429, "message": "quota", "more": {"details": details}}]
    with MockModel([*script, {"text": "Half of it", "fault": "cut"}]) as model:
        first = [json.loads(line[6:]) for line in ask(model, path, stream=True).decode().splitlines() if line]
        assert first[0]["candidates"][0]["content"]["parts"][0]["functionCall"]["name"] == "run_shell_command"
        assert "usageMetadata" not in first[0]
        assert first[1]["candidates"][0]["finishReason"] == "STOP"
        assert (first[1]["usageMetadata"]["promptTokenCount"], first[1]["modelVersion"]) == (7, "m")
        earlier = ask(model, path, messages=None, contents=[{"role": "user"}, {"role": "model"}])
        assert json.loads(earlier)["usageMetadata"]["totalTokenCount"] == 16
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(model, path)
        told = json.loads(refused.value.read())["error"]
        assert (told["code"], told["status"], told["details"]) == (429, "RESOURCE_EXHAUSTED", details)
        with pytest.raises(IncompleteRead) as cut:
            ask(model, path, stream=True)
        assert b"Half of it" in cut.value.partial
        assert b"finishReason" not in cut.value.partial
        assert [request["earlier_turns"] for request in model.requests] == [False, True, False, False]


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


@pytest.mark.parametrize("path", TOOLS)
def test_a_command_is_run_by_a_shell_that_is_offered(path: str) -> None:
    with MockModel([{"run": "echo done > a.txt"}]) as model:
        assert "echo done > a.txt" in words(json.loads(ask(model, path)))


def test_a_plain_step_is_for_requests_without_tools_too() -> None:
    with MockModel([{"plain": True, "text": "a.txt: ok", "usage": [7, 3]}, EDIT[1]]) as model:
        assert "a.txt: ok" in words(json.loads(ask(model, "/v1/messages", tools=[])))
        assert "Done." in words(json.loads(ask(model, "/v1/messages")))
        assert [request["side"] for request in model.requests] == [False, False]


def test_what_is_left_until_a_moment_is_said_at_the_moment_of_the_answer() -> None:
    step = {"status": 429, "message": "wait {left} s", "headers": {"retry-after": "{left}"}, "until": time.time() + 60}
    with MockModel([step]) as model, pytest.raises(urllib.error.HTTPError) as refused:
        ask(model, "/v1/messages")
    left = refused.value.headers["retry-after"]
    assert 30 < int(left) <= 60
    assert json.loads(refused.value.read())["error"]["message"] == f"wait {left} s"


def test_a_hang_ends_with_the_server() -> None:
    with MockModel([{"fault": "hang"}]) as model:
        request = urllib.request.Request(model.address + "/v1/messages", json.dumps({"tools": [{}]}).encode())
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(request, timeout=3)
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
