"""The second mock model: what it says follows the conversation, what it serves is kept, and its network fails."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from dataclasses import replace
from typing import Any

import pytest

from tests.outside.mock import Mock
from tests.outside.scenarios import SCENARIOS, Scenario, Step, Trouble
from tests.outside.wire import APIS
from tests.outside.words import EVERYWHERE, WORDS, told

PATHS = {
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
    "gemini": "/v1beta/models/g:streamGenerateContent",
}
TOOLS: dict[str, Any] = {
    "messages": [{"name": "Bash"}],
    "responses": [{"type": "function", "name": "exec_command"}],
    "chat": [{"type": "function", "function": {"name": "bash"}}],
    "gemini": [{"functionDeclarations": [{"name": "run_shell_command"}]}],
}
EDIT = Scenario("", "", (Step(say="I do it.", write=("{out}", "ok")), Step(say="All is done.")))
WAIT_S = 20.0


def body(api: str, turns: list[tuple[str, str]], stream: bool) -> dict[str, Any]:
    """Return a request: ``user``, ``call`` and ``said`` turns, as this API writes them."""
    if api == "gemini":
        parts = {"call": {"functionCall": {"name": "x"}}}
        roles = {"user": "user", "call": "model", "said": "model"}
        contents = [{"role": roles[kind], "parts": [parts.get(kind, {"text": text})]} for kind, text in turns]
        return {"contents": contents, "tools": TOOLS[api]}
    told: list[dict[str, Any]] = []
    for kind, text in turns:
        role = "user" if kind == "user" else "assistant"
        turn: dict[str, Any] = {"role": role, "content": [{"type": "text", "text": text}]}
        if api == "responses":
            turn["type"] = "message"
        if kind == "call" and api == "messages":
            turn["content"].append({"type": "tool_use", "id": "1", "name": "Bash", "input": {}})
        if kind == "call" and api == "chat":
            turn["tool_calls"] = [{"id": "1"}]
        told.append(turn)
        if kind == "call" and api == "responses":
            told.append({"type": "function_call", "call_id": "1"})
    key = "input" if api == "responses" else "messages"
    return {"model": "m", "stream": stream, key: told, "tools": TOOLS[api]}


def ask(mock: Mock, api: str, turns: list[tuple[str, str]], *, stream: bool = True) -> tuple[int, str]:
    """Send a request; return the status and the whole answer."""
    connection = http.client.HTTPConnection("127.0.0.1", mock.port, timeout=WAIT_S)
    try:
        path = PATHS[api] if stream else PATHS[api].replace(":streamG", ":g")
        asked = json.dumps(body(api, turns, stream))
        connection.request("POST", path, asked, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("api", APIS)
def test_the_model_goes_on_where_the_conversation_is(api: str) -> None:
    first: list[tuple[str, str]] = [("user", "[[task t7]] write")]
    with Mock(EDIT) as mock:
        for _ in range(2):  # the same question has the same answer: a killed attempt loses nothing
            assert "out-t7.txt" in ask(mock, api, first, stream=False)[1]
        assert "done." in texts(ask(mock, api, [*first, ("call", "I do it.")], stream=False)[1])
        again = [*first, ("call", "I do it."), ("said", "All is done."), ("user", "go on")]
        assert "done." in texts(ask(mock, api, again, stream=False)[1])
        assert [request.task for request in mock.requests] == ["t7"] * 4
        assert [request.turn for request in mock.requests] == [0, 0, 1, 2]
        assert len({request.served for request in mock.requests}) == 4
        assert all(min(r.served.fresh, r.served.read, r.served.written) >= 0 for r in mock.requests)
        assert mock.served("t7").tokens == sum(request.served.tokens for request in mock.requests)


@pytest.mark.parametrize("api", APIS)
def test_every_refusal_can_be_said(api: str) -> None:
    kinds = {trouble.what for one in SCENARIOS.values() for trouble in one.troubles}
    for kind in sorted(kinds - {"hang", "cut", "reset", "stall", "drop", "outage"}):
        with Mock(replace(EDIT, troubles=(Trouble(kind),))) as mock:
            status, said = ask(mock, api, [("user", "[[task t1]]")])
        assert status == told(api, kind).status
        assert "{reset}" not in said
        assert "{left}" not in said
        assert not mock.requests[0].whole
        assert mock.served().tokens == 0


def test_every_wording_names_where_it_is_from() -> None:
    for words in (*WORDS.values(), EVERYWHERE):
        assert all(one.source for one in words.values())


@pytest.mark.parametrize("what", ["cut", "reset", "drop"])
def test_a_broken_answer_has_no_end(what: str) -> None:
    with Mock(replace(EDIT, troubles=(Trouble(what),))) as mock:
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(mock, "messages", [("user", "[[task t1]]")])
        assert mock.served().tokens == 0
        assert (mock.served(whole=False).tokens > 0) is (what != "drop")


def texts(said: str) -> str:
    """Return the texts of an answer, joined."""
    return "".join(re.findall(r'"(?:text|delta|content)": "([^"]*)"', said))


def reachable(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def until(port: int, up: bool) -> None:
    deadline = time.monotonic() + WAIT_S
    while reachable(port) is not up:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_outage_closes_the_port_and_ends() -> None:
    with Mock(replace(EDIT, troubles=(Trouble("outage", times=1, lasts=0.3),))) as mock:
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(mock, "chat", [("user", "[[task t1]]")])
        until(mock.port, up=False)
        until(mock.port, up=True)
        assert ask(mock, "chat", [("user", "[[task t1]]")])[0] == 200


def test_a_flapping_network_comes_and_goes() -> None:
    with Mock(replace(EDIT, flap_s=(0.1, 0.1))) as mock:
        for up in (True, False, True, False):
            until(mock.port, up)


def test_a_trouble_begins_with_a_row_and_stays() -> None:
    with Mock(replace(EDIT, troubles=(Trouble("login", tasks=3),))) as mock:
        statuses = [ask(mock, "chat", [("user", f"[[task t{n}]]")])[0] for n in (1, 2, 1, 3, 1)]
    assert statuses == [200, 200, 200, 401, 401]


def test_a_summary_says_how_far_it_was() -> None:
    with Mock(EDIT) as mock:
        begun: list[tuple[str, str]] = [("user", "[[task t1]]"), ("call", "I do it.")]
        asked = ("user", "Your task is to create a detailed summary of all")
        assert "[[turns 1]]" in ask(mock, "messages", [*begun, asked], stream=False)[1]
        assert "done." in ask(mock, "messages", [("user", "[[task t1]] half is done [[turns 1]]")], stream=False)[1]
        assert [request.answer for request in mock.requests] == ["summary", "ok"]


@pytest.mark.parametrize("api", APIS)
def test_a_stream_says_the_same_as_a_body(api: str) -> None:
    with Mock(EDIT) as mock:
        turns: list[tuple[str, str]] = [("user", "[[task t1]]"), ("call", "I do it.")]
        streamed = ask(mock, api, turns)[1]
    assert "All is done." in texts(streamed)
