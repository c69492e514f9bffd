"""The four APIs: what a request asks, and an answer as server-sent events and as one body.

An answer's usage is ``Served``: cached parts apart. Texts come in several deltas, as they do from a real service.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
FILE = re.compile(r"Read the file (/\S+) and do what it says")
TASK = re.compile(r"\[\[task ([\w.-]+)\]\]")
SUB = "[[sub]]"
BEFORE = re.compile(r"\[\[turns (\d+)\]\]")


@dataclass(frozen=True)
class Served:
    """Tokens of one answer: input that was new, read from the cache, written to the cache, and output."""

    fresh: int = 0
    read: int = 0
    written: int = 0
    output: int = 0

    @property
    def input(self) -> int:
        return self.fresh + self.read + self.written

    @property
    def tokens(self) -> int:
        return self.input + self.output


@dataclass(frozen=True)
class Asked:
    """One request of any API: the client, its tools, and how far the conversation is."""

    api: str
    model: str
    stream: bool
    tools: tuple[str, ...]
    first: str
    """All texts of the first turn that a user wrote."""
    last: str
    """All texts of the last turn, of either side."""
    whole: str
    calls: int
    """Calls of tools that the model made."""
    said: tuple[str, ...]
    """Texts that the model wrote in turns without a call."""

    @property
    def task(self) -> str:
        found = TASK.findall(self.whole) or TASK.findall(self.first)
        return found[0] if found else ""

    @property
    def sub(self) -> bool:
        """A sub-agent's conversation: its first turn is what the tool call said."""
        return SUB in self.first

    def turns(self, texts: set[str]) -> int:
        """How many turns of the model are behind it; a summary of an earlier conversation says how many that had."""
        before = BEFORE.findall(self.first)
        mine = sum(any(text and text in said for text in texts) for said in self.said)
        return int(before[-1] if before else 0) + self.calls + mine


def _texts(value: Any) -> list[str]:
    """Return every text in a content, in order, whatever its nesting."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, dict):
        keys = ("text", "content", "parts", "output", "thinking")
        return [text for key in keys if key in value for text in _texts(value[key])]
    return []


def _with_file(text: str) -> str:
    """Return a prompt together with the file that it names: some CLIs take a prompt as an argument only."""
    found = FILE.search(text)
    if found is None:
        return text
    with contextlib.suppress(OSError):
        return f"{text}\n{Path(found[1]).read_text()}"
    return text


def asked(api: str, body: Json, path: str) -> Asked:
    """Read a request."""
    turns: Any = body.get("messages") or body.get("input") or body.get("contents") or []
    if isinstance(turns, str):
        turns = [{"role": "user", "content": turns}]
    if api == "gemini":
        turns = [{"role": "assistant" if t.get("role") == "model" else "user", "content": t["parts"]} for t in turns]
    calls = 0
    said: list[str] = []
    users: list[str] = []
    before = None
    for turn in turns:
        kind, role = turn.get("type"), turn.get("role")
        if kind in {"function_call", "custom_tool_call", "local_shell_call"}:
            calls += 1
            if before == "assistant":  # a text and a call of one answer are two items there
                said.pop()
        elif role == "assistant":
            parts = turn.get("content")
            blocks = parts if isinstance(parts, list) else []
            here = len(turn.get("tool_calls") or ())
            here += sum(b.get("type") == "tool_use" or "functionCall" in b for b in blocks if isinstance(b, dict))
            calls += here
            if not here:
                said.append("".join(_texts(parts)))
        elif role == "user":
            users.append(_with_file("\n".join(_texts(turn.get("content")))))
        before = role if kind == "message" else kind
    declared = [one for tool in body.get("tools") or () for one in tool.get("functionDeclarations", [tool])]
    names = tuple(filter(None, ((tool.get("function") or tool).get("name") for tool in declared)))
    marked = [text for text in users if TASK.search(text)]
    model = path.rpartition("/")[2].partition(":")[0] if api == "gemini" else body.get("model", "mock")
    return Asked(
        api=api,
        model=model,
        stream=":stream" in path if api == "gemini" else bool(body.get("stream")),
        tools=names,
        first=(marked or users or [""])[0],
        last="\n".join(_texts(turns[-1].get("content"))) if turns else "",
        whole="\n".join(text for turn in turns for text in _texts(turn.get("content", turn))),
        calls=calls,
        said=tuple(said),
    )


@dataclass(frozen=True)
class Answer:
    """What the model says: a text, or a call of one tool after it."""

    text: str
    call: tuple[str, Json] | None
    served: Served
    number: int
    """Of the request; ids are made of it."""


def _sse(data: Json, named: bool = True) -> bytes:
    head = f"event: {data['type']}\n" if named else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


def _pieces(text: str) -> list[str]:
    size = max(1, len(text) // 3 + 1)
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]


def messages(asking: Asked, answer: Answer) -> tuple[Json, list[bytes]]:
    """Anthropic Messages."""
    served = answer.served
    usage: Json = {
        "input_tokens": served.fresh,
        "cache_creation_input_tokens": served.written,
        "cache_read_input_tokens": served.read,
        "cache_creation": {"ephemeral_5m_input_tokens": served.written, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
    }
    head: Json = {"id": f"msg_01out{answer.number:06d}", "type": "message", "role": "assistant", "model": asking.model}
    blocks: list[Json] = [{"type": "text", "text": answer.text}] if answer.text else []
    events: list[Json] = [
        {
            "type": "message_start",
            "message": head
            | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage | {"output_tokens": 2}},
        },
        {"type": "ping"},
    ]
    if answer.text:
        events.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        events += [
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            for piece in _pieces(answer.text)
        ]
        events.append({"type": "content_block_stop", "index": 0})
    if answer.call:
        at = len(blocks)
        tool: Json = {"type": "tool_use", "id": f"toolu_01out{answer.number:06d}", "name": answer.call[0]}
        blocks.append(tool | {"input": answer.call[1]})
        events.append({"type": "content_block_start", "index": at, "content_block": tool | {"input": {}}})
        events += [
            {"type": "content_block_delta", "index": at, "delta": {"type": "input_json_delta", "partial_json": piece}}
            for piece in _pieces(json.dumps(answer.call[1]))
        ]
        events.append({"type": "content_block_stop", "index": at})
    stop: Json = {"stop_reason": "tool_use" if answer.call else "end_turn", "stop_sequence": None}
    events.append({"type": "message_delta", "delta": stop, "usage": usage | {"output_tokens": served.output}})
    events.append({"type": "message_stop"})
    body = head | {"content": blocks, "usage": usage | {"output_tokens": served.output}} | stop
    return body, [_sse(event) for event in events]


def responses(asking: Asked, answer: Answer) -> tuple[Json, list[bytes]]:
    """OpenAI Responses."""
    served, number = answer.served, answer.number
    usage: Json = {
        "input_tokens": served.input,
        "input_tokens_details": {"cached_tokens": served.read},
        "output_tokens": served.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": served.tokens,
    }
    head: Json = {"id": f"resp_out{number:06d}", "object": "response", "created_at": 1790000000, "model": asking.model}
    events: list[Json] = [{"type": "response.created", "response": head | {"status": "in_progress", "output": []}}]
    items: list[Json] = []
    if answer.text:
        item: Json = {"type": "message", "role": "assistant", "id": f"msg_out{number:06d}"}
        part: Json = {"type": "output_text", "text": answer.text, "annotations": []}
        where = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        events.append(
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": item | {"content": [], "status": "in_progress"},
            }
        )
        events.append({"type": "response.content_part.added", **where, "part": part | {"text": ""}})
        events += [{"type": "response.output_text.delta", **where, "delta": piece} for piece in _pieces(answer.text)]
        events.append({"type": "response.output_text.done", **where, "text": answer.text})
        events.append({"type": "response.content_part.done", **where, "part": part})
        items.append(item | {"content": [part], "status": "completed"})
        events.append({"type": "response.output_item.done", "output_index": 0, "item": items[-1]})
    if answer.call:
        at = len(items)
        item = {"type": "function_call", "id": f"fc_out{number:06d}", "call_id": f"call_out{number:06d}"}
        item |= {"name": answer.call[0]}
        arguments = json.dumps(answer.call[1])
        where = {"item_id": item["id"], "output_index": at}
        started = item | {"arguments": "", "status": "in_progress"}
        events.append({"type": "response.output_item.added", "output_index": at, "item": started})
        events += [
            {"type": "response.function_call_arguments.delta", **where, "delta": piece} for piece in _pieces(arguments)
        ]
        events.append({"type": "response.function_call_arguments.done", **where, "arguments": arguments})
        items.append(item | {"arguments": arguments, "status": "completed"})
        events.append({"type": "response.output_item.done", "output_index": at, "item": items[-1]})
    body = head | {"status": "completed", "output": items, "usage": usage, "error": None, "incomplete_details": None}
    events.append({"type": "response.completed", "response": body})
    return body, [_sse({**event, "sequence_number": n}) for n, event in enumerate(events)]


def chat(asking: Asked, answer: Answer) -> tuple[Json, list[bytes]]:
    """OpenAI Chat Completions."""
    served, number = answer.served, answer.number
    usage: Json = {
        "prompt_tokens": served.input,
        "completion_tokens": served.output,
        "total_tokens": served.tokens,
        "prompt_tokens_details": {"cached_tokens": served.read},
    }
    head: Json = {"id": f"chatcmpl-out{number:06d}", "created": 1790000000, "model": asking.model}
    message: Json = {"role": "assistant", "content": answer.text or None}
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in _pieces(answer.text) if answer.text]
    if answer.call:
        name, arguments = answer.call[0], json.dumps(answer.call[1])
        call: Json = {"id": f"call_out{number:06d}", "type": "function"}
        message["tool_calls"] = [call | {"function": {"name": name, "arguments": arguments}}]
        deltas.append({"tool_calls": [{"index": 0, **call, "function": {"name": name, "arguments": ""}}]})
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in _pieces(arguments)]
    end = "tool_calls" if answer.call else "stop"
    body = head | {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": end}],
        "usage": usage,
    }
    chunk = head | {"object": "chat.completion.chunk"}
    chunks = [chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append(chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": end}]})
    chunks.append(chunk | {"choices": [], "usage": usage})
    return body, [*(_sse(one, named=False) for one in chunks), b"data: [DONE]\n\n"]


def gemini(asking: Asked, answer: Answer) -> tuple[Json, list[bytes]]:
    """Gemini generateContent and streamGenerateContent."""
    served = answer.served
    usage: Json = {
        "promptTokenCount": served.input,
        "candidatesTokenCount": served.output,
        "totalTokenCount": served.tokens,
        "cachedContentTokenCount": served.read,
    }
    head: Json = {"modelVersion": asking.model, "responseId": f"out{answer.number:06d}"}
    parts: list[Json] = [{"text": piece} for piece in _pieces(answer.text) if answer.text]
    if answer.call:
        parts.append({"functionCall": {"name": answer.call[0], "args": answer.call[1]}})
    chunks: list[Json] = [
        head | {"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]} for part in parts
    ]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    chunks[-1]["usageMetadata"] = usage
    whole: Json = {"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
    body = head | {"candidates": [whole], "usageMetadata": usage}
    return body, [f"data: {json.dumps(one)}\r\n\r\n".encode() for one in chunks]


APIS = {"messages": messages, "responses": responses, "chat": chat, "gemini": gemini}


def api_of(path: str) -> str:
    """Return the API of a path, or an empty text."""
    ends = {
        "/messages": "messages",
        "/responses": "responses",
        "/chat/completions": "chat",
        ":generateContent": "gemini",
        ":streamGenerateContent": "gemini",
    }
    return next((api for end, api in ends.items() if path.endswith(end)), "")
