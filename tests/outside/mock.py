"""The second mock model server: the model, the service in front of it, and the network to it.

The model is a function of the conversation, not of the number of requests: what it says next is the step after those
that it has said already, even if it was killed or resumed in between. The service and the network are ``Trouble``: from
which request, at which turn, how often, for how long. Everything served is kept, by task, cached parts apart.

By itself: ``python -m tests.outside.mock SCENARIO [--port N]``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import socket
import struct
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.outside.scenarios import SCENARIOS, Scenario, Step, Trouble
from tests.outside.wire import APIS, Answer, Asked, Served, api_of, asked
from tests.outside.words import told

SUMMARY_ASKS = (
    "create a detailed summary",
    "summary of the conversation",
    "context checkpoint compaction",
    "handoff summary",
    "compress",
    "state_snapshot",
    "structured context checkpoint",
)
LINGER = struct.pack("ii", 1, 0)


@dataclass
class Request:
    """One request as it was, and what it was answered."""

    at: float
    number: int
    api: str
    task: str
    turn: int
    side: bool
    sub: bool
    model: str
    answer: str
    """``ok``, ``summary``, or the trouble."""
    whole: bool
    """The answer was sent to its end."""
    served: Served = field(default_factory=Served)
    bytes: int = 0


class Mock:
    """The server, at one port of 127.0.0.1 while the context lasts."""

    def __init__(self, scenario: Scenario, *, port: int = 0, log: Path | None = None, plain: str = "") -> None:
        self.scenario = scenario
        self.requests: list[Request] = []
        self.plain = plain
        """``aider`` or ``mini``: an agent whose edits are in the text."""
        self.stopping = threading.Event()
        self.began = time.time()
        self.reset = int(self.began + scenario.reset_s)
        self._log, self._lock, self._seen = log, threading.Lock(), set[str]()
        self._cached: dict[tuple[str, bool], int] = {}
        self._hits: dict[int, int] = {}
        self._open: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        self.port = port
        self.up()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # --- the network

    def up(self) -> None:
        """Open the port."""
        server = ThreadingHTTPServer(("127.0.0.1", self.port), _Handler, bind_and_activate=False)
        server.daemon_threads, server.block_on_close, server.allow_reuse_address = True, False, True
        server.mock = self  # type: ignore[attr-defined]
        server.server_bind()
        server.server_activate()
        self.port = server.server_address[1]
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def down(self) -> None:
        """Close the port and reset every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        for one in list(self._open):
            with contextlib.suppress(OSError):  # its thread waits in it, and closes it
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
                one.shutdown(socket.SHUT_RDWR)

    def _flap(self) -> None:
        up_s, down_s = self.scenario.flap_s
        while not self.stopping.wait(up_s):
            self.down()
            if self.stopping.wait(down_s):
                return
            self.up()

    def outage(self, seconds: float) -> None:
        """Close the port now, and open it again after this many seconds; 0: never."""
        self.down()
        if seconds and not self.stopping.wait(seconds):
            self.up()

    def __enter__(self) -> Self:
        if self.scenario.flap_s[1]:
            threading.Thread(target=self._flap, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.down()

    # --- the model and the service

    def judge(self, asking: Asked, size: int) -> tuple[Request, Step, Trouble | None]:
        """Decide what a request is answered, and write it down."""
        scenario = self.scenario
        steps = scenario.sub if asking.sub else scenario.steps
        with self._lock:
            number = len(self.requests) + 1
            self._seen.add(asking.task)
            turn = asking.turns({step.say for step in (*scenario.steps, *scenario.sub) if step.say})
            step = steps[min(turn, len(steps) - 1)]
            side = not asking.tools and not self.plain
            summary = any(words in asking.last.lower() for words in SUMMARY_ASKS) or (
                side and any(words in asking.whole.lower()[-6000:] for words in SUMMARY_ASKS)
            )
            if summary:
                step = Step(say=f"[[task {asking.task}]] Summary: half is done. [[turns {turn}]]")
            elif side:
                step = Step(say="ok")
            step = filled(step, asking.task)
            trouble = None if side and not summary else self._trouble(number, turn, asking)
            request = Request(
                at=round(time.time() - self.began, 3), number=number, api=asking.api, task=asking.task, turn=turn,
                side=side, sub=asking.sub, model=asking.model,
                answer="summary" if summary else "ok", whole=trouble is None, bytes=size,
            )  # fmt: skip
            if trouble is not None:
                request.answer = trouble.what
            self.requests.append(request)
            if trouble is None or trouble.what in {"cut", "reset", "stall"}:
                request.served = self._serve(request, step, asking)
            if self._log is not None:
                with self._log.open("a") as out:
                    out.write(json.dumps(asdict(request)) + "\n")
        return request, step, trouble

    def _trouble(self, number: int, turn: int, asking: Asked) -> Trouble | None:
        now = time.time() - self.began
        for at, one in enumerate(self.scenario.troubles):
            hits = self._hits.get(at, 0)
            if one.times and hits >= one.times:
                continue
            if number < one.request or (one.turn is not None and turn != one.turn):
                continue
            if one.sub is not None and one.sub != asking.sub:
                continue
            if one.task and one.task != asking.task:
                continue
            if one.until_reset and time.time() >= self.reset:
                continue
            if len(self._seen) < one.tasks:
                continue
            if one.before_s and now > one.before_s:
                continue
            self._hits[at] = hits + 1
            return one
        return None

    def _serve(self, request: Request, step: Step, asking: Asked) -> Served:
        """The input grows with the conversation; what the conversation had before comes from the cache."""
        key = (request.task, asking.sub)
        fresh = 3 + request.number % 7
        whole = step.tokens or request.bytes // 4 + 17 + 3 * request.number
        before = 0 if request.side else min(self._cached.get(key, 0), whole - fresh)
        if not request.side:
            self._cached[key] = whole
        output = step.output or 23 + 2 * request.number + len(step.say) // 4
        if asking.api != "messages":
            return Served(fresh=whole - before, read=before, output=output)
        return Served(fresh=fresh, read=before, written=whole - before - fresh, output=output)

    def served(self, task: str = "", *, whole: bool = True) -> Served:
        """Return what was served, of a task or of all; with ``whole``, only answers that were sent to their end."""
        chosen = [r.served for r in self.requests if (not task or r.task == task) and (r.whole or not whole)]
        return Served(
            sum(s.fresh for s in chosen), sum(s.read for s in chosen),
            sum(s.written for s in chosen), sum(s.output for s in chosen),
        )  # fmt: skip


def reset(connection: socket.socket) -> None:
    """End a connection as a router does that has lost it: RST."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        os.close(connection.detach())


def filled(step: Step, task: str) -> Step:
    """Return the step with the task's own names in it: ``{out}`` is the file it is to write."""

    def put(text: str) -> str:
        return text.replace("{out}", f"out-{task}.txt").replace("{task}", task)

    written = (put(step.write[0]), put(step.write[1])) if step.write else None
    return replace(step, write=written, run=put(step.run), agent=put(step.agent), say=put(step.say))


def call_of(step: Step, offered: tuple[str, ...]) -> tuple[str, dict[str, Any]] | None:
    """Return the tool call of a step, among the tools that were offered. LookupError: none of them can do it."""
    if step.agent:
        for name in ("Agent", "Task", "agent"):
            if name in offered:
                kind = {"description": "look", "prompt": step.agent, "subagent_type": "general-purpose"}
                if "WaitFor" in offered:  # kimi's
                    kind["subagent_type"] = "coder"
                return name, kind | ({"run_in_background": True} if step.background else {})
        if "task" in offered:  # opencode's, or copilot's, which names its own kinds
            kind = {"description": "look", "prompt": step.agent}
            if "list_agents" in offered:
                return "task", kind | {"name": "look", "agent_type": "general-purpose", "mode": "sync"}
            return "task", kind | {"subagent_type": "general"}
        if "invoke_agent" in offered:  # gemini's
            return "invoke_agent", {"agent_name": "generalist", "prompt": step.agent}
        raise LookupError(f"no tool for a sub-agent in {offered}")
    command = step.run
    if step.write:
        path, text = step.write
        command = f"printf '%s\\n' {shlex.quote(text)} > {shlex.quote(path)}"
    if not command:
        return None
    about = "do a part of the work"
    forms: dict[str, dict[str, Any]] = {
        "exec_command": {"cmd": command},
        "shell_command": {"command": command},
        "shell": {"command": ["bash", "-lc", command]},
        "Bash": {"command": command, "description": about, **({"run_in_background": True} if step.background else {})},
        "bash": {"command": command, "description": about},
        "run_shell_command": {"command": command, "description": about, "is_background": step.background},
        "Shell": {"command": command},
    }
    for name, arguments in forms.items():
        if name in offered:
            return name, arguments
    raise LookupError(f"no shell among {offered}")


def plain_text(step: Step, kind: str) -> str:
    """Return a step as those want it that read edits out of the text."""
    if kind == "aider":
        return step.say if not step.write else f"{step.write[0]}\n```\n{step.write[1]}\n```\n{step.say}"
    command = step.run
    if step.write:
        command = f"printf '%s\\n' {shlex.quote(step.write[1])} > {shlex.quote(step.write[0])}"
    if not command:
        command = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
    return f"THOUGHT: {step.say or 'I go on.'}\n\n```mswea_bash_command\n{command}\n```\n"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mock: Mock

    def setup(self) -> None:
        super().setup()
        self.mock = self.server.mock  # type: ignore[attr-defined]
        self.mock._open.add(self.connection)

    def finish(self) -> None:
        self.mock._open.discard(self.connection)
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class says so
        pass

    def do_HEAD(self) -> None:
        self._whole(200, b"", "application/json")

    def do_GET(self) -> None:
        models = [{"id": "mock", "object": "model", "created": 1790000000, "owned_by": "mock"}]
        self._whole(200, json.dumps({"object": "list", "data": models, "models": []}).encode(), "application/json")

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        with contextlib.suppress(ValueError):
            body = json.loads(raw or b"{}")
            if path.endswith("/count_tokens"):
                self._whole(200, json.dumps({"input_tokens": len(raw) // 4}).encode(), "application/json")
                return
            if path.endswith(":countTokens"):
                self._whole(200, json.dumps({"totalTokens": len(raw) // 4}).encode(), "application/json")
                return
            api = api_of(path)
            if api:
                self._answer(asked(api, body, path), len(raw))
                return
        self._whole(404, b'{"error":{"message":"not found","type":"not_found_error"}}', "application/json")

    def _answer(self, asking: Asked, size: int) -> None:
        mock = self.mock
        request, step, trouble = mock.judge(asking, size)
        what = trouble.what if trouble else ""
        if what == "hang":
            mock.stopping.wait()
            return
        if what == "outage":
            assert trouble is not None
            threading.Thread(target=mock.outage, args=(trouble.lasts,), daemon=True).start()
            reset(self.connection)
            return
        if what == "drop":
            self.close_connection = True
            reset(self.connection)
            return
        if trouble is not None and what not in {"cut", "reset", "stall"}:
            self._refuse(asking, request, trouble)
            return
        if mock.plain and step.say == "" and not asking.tools:
            text, call = plain_text(step, mock.plain), None
        elif mock.plain == "aider":
            text, call = plain_text(step, "aider"), None
        elif mock.plain == "mini" and not asking.tools:
            text, call = plain_text(step, "mini"), None
        elif mock.plain == "mini" and call_of(step, asking.tools) is None:
            end = Step(run="echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT")
            text, call = step.say, call_of(end, asking.tools)
        else:
            text, call = step.say, None if request.side or request.answer == "summary" else call_of(step, asking.tools)
        answer = Answer(text, call, request.served, request.number)
        body, events = APIS[asking.api](asking, answer)
        if step.wait_s:
            mock.stopping.wait(step.wait_s)
        headers = {"request-id": f"req_011Cout{request.number:06d}", **self._limits(asking)}
        if not asking.stream:
            raw = json.dumps(body).encode()
            if what:
                self._part(200, raw[: len(raw) // 2], "application/json", what)
            else:
                self._whole(200, raw, "application/json", headers)
            return
        if what:
            # Of an answer that is cut something has come, but never its end.
            self._part(200, b"".join(events[: max(1, len(events) * 2 // 3)]), "text/event-stream", what)
            return
        self.send_response(200)
        for name, value in {"Content-Type": "text/event-stream; charset=utf-8", **headers}.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _limits(self, asking: Asked) -> dict[str, str]:
        """A subscription's answers say how far its windows are used."""
        if asking.api != "messages" or "Authorization" not in self.headers:
            return {}
        mark = "anthropic-ratelimit-unified"
        return {
            f"{mark}-status": "allowed",
            f"{mark}-5h-status": "allowed",
            f"{mark}-5h-reset": str(self.mock.reset),
            f"{mark}-5h-utilization": "0.11",
            f"{mark}-representative-claim": "five_hour",
            f"{mark}-reset": str(self.mock.reset),
        }

    def _refuse(self, asking: Asked, request: Request, trouble: Trouble) -> None:
        words = told(asking.api, trouble.what)
        left = trouble.retry_after or max(0, self.mock.reset - int(time.time()))
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.mock.reset))
        values = {"{reset}": str(self.mock.reset), "{left}": str(left), "{iso}": when, "{n}": f"{request.number:06d}"}

        def said(text: str) -> str:
            for name, value in values.items():
                text = text.replace(name, value)
            return text

        headers = {name: said(value) for name, value in words.headers.items()}
        self._whole(words.status, said(words.body).encode(), words.kind, headers)

    def _whole(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _part(self, status: int, body: bytes, kind: str, what: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
        self.wfile.flush()
        self.close_connection = True
        if what == "stall":
            self.mock.stopping.wait()
        elif what == "reset":
            time.sleep(0.1)  # or the client sees nothing of what came before
            reset(self.connection)


def main() -> None:
    """Serve one scenario until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.outside.mock")
    parser.add_argument("scenario", choices=sorted(SCENARIOS))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--plain", default="", choices=("", "aider", "mini"))
    options = parser.parse_args()
    with Mock(SCENARIOS[options.scenario], port=options.port, log=options.log, plain=options.plain) as mock:
        print(mock.address, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            mock.stopping.wait()


if __name__ == "__main__":
    main()
