"""A model server for tests: Anthropic Messages, OpenAI Responses and Chat Completions, Gemini; from a script.

``with MockModel([{"write": {"path": "a.txt", "text": "ok\\n"}}, {"text": "Done."}]) as model: model.address`` answers
the first request that offers tools with a tool call, the second with a text; the last step repeats. A request that
offers no tools (a title, a probe) is answered "ok" and uses up no step, nor does one to count tokens. A step may hold:

- ``write``: {path, text}: the call of a tool the request offers that writes this file
- ``run``: the call of a shell tool the request offers, with this command
- ``call``: [name, arguments]: the call of this tool
- ``to``: a text: the step is for requests of the conversation that begins with it (a sub-agent's) alone; each such text
  has separate steps, and those without are for all other conversations
- ``plain``: true: a request that offers no tools gets this step too (an agent whose edits are in the text)
- ``text``: the model's final text, or what it says beside a call (Chat Completions)
- ``usage``: [input tokens, output tokens], default [100, 10]; a third number says how many of the input were cached
- ``status``: an HTTP error instead, with ``error`` (its type), ``message``, ``headers``, and ``more`` fields in it
- ``body``: with ``status``, a page in HTML instead of an error of the API, as a proxy's
- ``until``: a moment (seconds since the epoch): ``{left}`` in the step's texts is the seconds to it
- ``fault``: ``cut`` (the stream ends in its middle; other answers come whole), ``broken`` (either ends
  in its middle) or ``hang`` (no answer until the server stops)
- ``delay_s``: seconds before the answer
"""

from __future__ import annotations

import json
import shlex
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from tests.kit.mockmodel import shapes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Step = dict[str, Any]

SHAPES = {
    "/messages": shapes.messages,
    "/responses": shapes.responses,
    "/chat/completions": shapes.chat,
    ":generateContent": shapes.gemini,
    ":streamGenerateContent": shapes.gemini,
}
COUNTS: dict[str, dict[str, Any]] = {"/count_tokens": {"input_tokens": 1}, ":countTokens": {"totalTokens": 1}}
"""The answers to requests that count the tokens of a text."""


class MockModel:
    """The server, on a free port of 127.0.0.1 while the context lasts; ``requests`` is its log."""

    def __init__(self, script: Sequence[Step], log: Path | None = None, port: int = 0) -> None:
        self.script = list(script)
        self.requests: list[dict[str, Any]] = []
        self.stopping = threading.Event()
        self._log, self._lock = log, threading.Lock()
        self._next: Counter[str] = Counter()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.model = self  # type: ignore[attr-defined]

    @property
    def address(self) -> str:
        """The server's base address, without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def served(self) -> tuple[int, int]:
        """Return the input and output tokens of all answers that were sent whole."""
        return sum(r["usage"][0] for r in self.requests), sum(r["usage"][1] for r in self.requests)

    def take(self, path: str, asked: dict[str, Any]) -> Step:
        """Return the step for a request and log it."""
        turns = asked.get("messages") or asked.get("input") or asked.get("contents") or []
        begins = json.dumps(turns[:1] if isinstance(turns, list) else turns)
        to = next((step["to"] for step in self.script if step.get("to", "\0") in begins), "")
        script = [step for step in self.script if step.get("to", "") == to]
        with self._lock:
            step = script[min(self._next[to], len(script) - 1)]
            side = not asked.get("tools") and not step.get("plain")
            if side:
                step = {"text": "ok", "usage": [0, 0]}
            else:
                self._next[to] += 1
            cut = step.get("fault") in {"hang", "broken"} or ("fault" in step and bool(asked.get("stream")))
            whole = "status" not in step and not cut
            entry = {
                "path": path,
                "side": side,
                "stream": bool(asked.get("stream")),
                "messages": len(turns) if isinstance(turns, list) else 1,
                "earlier_turns": isinstance(turns, list) and any(_by_model(turn) for turn in turns),
                "text": json.dumps(turns, ensure_ascii=False),
                "usage": step.get("usage", [100, 10]) if whole else [0, 0],
                "status": step.get("status", 200),
                "hung": step.get("fault") == "hang",
            }
            self.requests.append(entry)
            if self._log is not None:
                with self._log.open("a") as out:
                    out.write(json.dumps(entry) + "\n")
        return step


def _timely(step: Step) -> Step:
    if "until" not in step:
        return step
    timely: Step = json.loads(json.dumps(step).replace("{left}", str(int(step["until"] - time.time()))))
    return timely


def _by_model(turn: Any) -> bool:
    kinds = {"function_call", "custom_tool_call"}
    return isinstance(turn, dict) and (turn.get("role") in {"assistant", "model"} or turn.get("type") in kinds)


def tool_call(asked: dict[str, Any], path: str, text: str) -> tuple[str, dict[str, Any]]:
    """Return name and arguments of a tool the request offers, so that it writes the file. LookupError: none does."""
    return shell_call(asked, f"printf %s {shlex.quote(text)} > {shlex.quote(path)}", path, text)


def shell_call(asked: dict[str, Any], shell: str, path: str = "", text: str = "") -> tuple[str, dict[str, Any]]:
    """Return name and arguments of a tool the request offers that runs the command, or writes the file."""
    tools = [one for tool in asked.get("tools", ()) for one in tool.get("functionDeclarations", [tool])]
    offered = {(tool.get("function") or tool).get("name") for tool in tools}
    forms: dict[str, dict[str, Any]] = {
        "exec_command": {"cmd": shell},
        "shell_command": {"command": shell},
        "shell": {"command": ["bash", "-c", shell]},
        "Bash": {"command": shell, "description": "write a file"},
        "bash": {"command": shell, "description": "write a file"},
        "run_shell_command": {"command": shell, "description": "write a file", "is_background": False},
        **({name: {"file_path": path, "content": text} for name in ("Write", "write_file")} if path else {}),
    }
    for name, arguments in forms.items():
        if name in offered:
            return name, arguments
    raise LookupError(f"no known tool that writes is among {sorted(filter(None, offered))}")


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class says so
        pass

    def do_HEAD(self) -> None:
        self._send(200, "application/json", b"")

    def do_GET(self) -> None:
        self._send(200, "application/json", b'{"object": "list", "data": [], "models": []}')

    def do_POST(self) -> None:
        model: MockModel = self.server.model  # type: ignore[attr-defined]
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "zstd":  # which Python cannot unpack: enough for one that is refused
            raw = b'{"tools": [{}], "stream": true}'
        asked = json.loads(raw or b"{}")
        path = self.path.partition("?")[0]
        count = next((answer for end, answer in COUNTS.items() if path.endswith(end)), None)
        if count is not None:
            self._send(200, "application/json", json.dumps(count).encode())
            return
        shape = next((found for end, found in SHAPES.items() if path.endswith(end)), None)
        if shape is None:
            self._send(404, "application/json", b'{"error": {"type": "not_found_error", "message": "no such path"}}')
            return
        if shape is shapes.gemini:  # it names the model, and whether it wants a stream, in the path
            asked |= {"model": path.rpartition("/")[2].partition(":")[0], "stream": ":stream" in path}
        step = _timely(model.take(path, asked))
        if step.get("fault") == "hang":
            model.stopping.wait()
            return
        if step.get("delay_s"):
            model.stopping.wait(step["delay_s"])
        if "body" in step:
            self._send(step["status"], "text/html", step["body"].encode(), step.get("headers", {}))
            return
        if "status" in step:
            error = shapes.google_error(step) if shape is shapes.gemini else shapes.error(step)
            self._send(step["status"], "application/json", json.dumps(error).encode(), step.get("headers", {}))
            return
        call = shell_call(asked, step["run"]) if "run" in step else None
        call = tool_call(asked, **step["write"]) if "write" in step else call
        call = tuple(step["call"]) if "call" in step else call
        read, written, *cached = step.get("usage", [100, 10])
        tokens = (read, written, sum(cached))
        number = len(model.requests)
        body_of, events = shape(asked.get("model", "mock"), number, step.get("text", ""), call, tokens)
        if not asked.get("stream"):
            body, broken = json.dumps(body_of).encode(), "broken" in step.get("fault", "")
            self._send(200, "application/json", body[: len(body) // 2] if broken else body, cut=broken)
            return
        if "fault" in step:
            events = events[: len(events) // 2]
        self._send(200, "text/event-stream", b"".join(events), step.get("headers", {}), cut="fault" in step)

    def _send(self, status: int, kind: str, body: bytes, more: dict[str, str] | None = None, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(more or {})}.items():
            self.send_header(name, value)
        # A cut answer promises more than comes.
        self.send_header("Content-Length", str(len(body) + (1000 if cut else 0)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True
