"""The answers of each API: the whole body, and the same as server-sent events."""

from __future__ import annotations

import json
from typing import Any

Call = tuple[str, dict[str, Any]] | None
Answer = tuple[dict[str, Any], list[bytes]]
Tokens = tuple[int, int, int]
"""Of the input, of the output, and how many of the input came from a cache."""


def _event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


def messages(model: str, number: int, text: str, call: Call, tokens: Tokens) -> Answer:
    """Anthropic Messages."""
    usage = {"input_tokens": tokens[0] - tokens[2], "cache_creation_input_tokens": 0}
    usage["cache_read_input_tokens"] = tokens[2]
    block: dict[str, Any] = {"type": "text", "text": text}
    empty, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": text}
    if call:
        block = {"type": "tool_use", "id": f"toolu_{number:04d}", "name": call[0], "input": call[1]}
        empty, delta = block | {"input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(call[1])}
    stop = {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}
    head = {"id": f"msg_{number:04d}", "type": "message", "role": "assistant", "model": model}
    body = {**head, "content": [block], **stop, "usage": usage | {"output_tokens": tokens[1]}}
    start: dict[str, Any] = {**head, "content": [], "stop_reason": None, "stop_sequence": None}
    start["usage"] = usage | {"output_tokens": 1}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": tokens[1]}},
        {"type": "message_stop"},
    ]
    return body, [_event(event) for event in events]


def responses(model: str, number: int, text: str, call: Call, tokens: Tokens) -> Answer:
    """OpenAI Responses."""
    usage = {
        "input_tokens": tokens[0],
        "input_tokens_details": {"cached_tokens": tokens[2]},
        "output_tokens": tokens[1],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens[0] + tokens[1],
    }
    item: dict[str, Any] = {"type": "message", "role": "assistant", "id": f"item_{number:04d}", "status": "completed"}
    item["content"] = [{"type": "output_text", "text": text, "annotations": []}]
    if call:
        item = {"type": "function_call", "id": f"fc_{number:04d}", "call_id": f"call_{number:04d}", "name": call[0]}
        item |= {"arguments": json.dumps(call[1]), "status": "completed"}
    head = {"id": f"resp_{number:04d}", "object": "response", "model": model}
    body = {**head, "status": "completed", "output": [item], "usage": usage}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**head, "status": "in_progress", "output": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": body},
    ]
    return body, [_event(event) for event in events]


def chat(model: str, number: int, text: str, call: Call, tokens: Tokens) -> Answer:
    """OpenAI Chat Completions."""
    usage: dict[str, Any] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    usage |= {"total_tokens": tokens[0] + tokens[1], "prompt_tokens_details": {"cached_tokens": tokens[2]}}
    message: dict[str, Any] = {"role": "assistant", "content": (text or None) if call else text}
    if call:
        function = {"name": call[0], "arguments": json.dumps(call[1])}
        message["tool_calls"] = [{"index": 0, "id": f"call_{number:04d}", "type": "function", "function": function}]
    end = "tool_calls" if call else "stop"
    head: dict[str, Any] = {"id": f"chat_{number:04d}", "created": 0, "model": model}
    whole = {"index": 0, "message": message, "finish_reason": end}
    body = {**head, "object": "chat.completion", "choices": [whole], "usage": usage}
    chunk = {**head, "object": "chat.completion.chunk"}
    chunks = [
        {**chunk, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": end}]},
        {**chunk, "choices": [], "usage": usage},
    ]
    return body, [*(f"data: {json.dumps(part)}\n\n".encode() for part in chunks), b"data: [DONE]\n\n"]


def gemini(model: str, number: int, text: str, call: Call, tokens: Tokens) -> Answer:
    """Gemini's generateContent; its stream are parts of the same body. A third of the output are thoughts."""
    part: dict[str, Any] = {"functionCall": {"name": call[0], "args": call[1]}} if call else {"text": text}
    candidate = {"content": {"role": "model", "parts": [part]}, "index": 0}
    head = {"modelVersion": model, "responseId": f"resp_{number:04d}"}
    usage = {"promptTokenCount": tokens[0], "cachedContentTokenCount": tokens[2]}
    usage |= {"thoughtsTokenCount": tokens[1] // 3, "candidatesTokenCount": tokens[1] - tokens[1] // 3}
    usage["totalTokenCount"] = tokens[0] + tokens[1]
    end = {"finishReason": "STOP"}
    last = candidate | end | {"content": {"role": "model", "parts": [{"text": ""}]}}
    chunks = [{"candidates": [candidate], **head}, {"candidates": [last], "usageMetadata": usage, **head}]
    body = {"candidates": [candidate | end], "usageMetadata": usage, **head}
    return body, [f"data: {json.dumps(chunk)}\r\n\r\n".encode() for chunk in chunks]


def error(step: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a step's HTTP error, as Anthropic and OpenAI write it."""
    told = {"type": step.get("error", "api_error"), "code": step.get("code"), "message": step.get("message")}
    return {"type": "error", "error": told | step.get("more", {})}


GOOGLE_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def google_error(step: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a step's HTTP error, as Google writes it."""
    code = step["status"]
    told = {"code": code, "message": step.get("message"), "status": GOOGLE_STATUS.get(code, "INTERNAL")}
    return {"error": told | step.get("more", {})}
