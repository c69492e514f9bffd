"""The real program as a separate process, forked from one that has imported it: a start costs 10 ms, not 200.

Run as a program (``python -m tests.kit.forking``) this is the server: it imports all of agentjobs, runs none of it, and
forks for each request that comes over its standard input, a socket. The child gets the arguments, environment,
directory and the three standard streams of the request, and is then what ``python -m agentjobs`` would be; the server
reports how it ended. ``Forker.run`` is the other side.

A fork takes longer the more memory the server has, and the vocabulary that counts tokens is two thirds of it. So there
are two servers: ``--count`` has the vocabulary, and runs the commands of those directories where a command loaded it.

What Python itself reads at its start (``PYTHON*``, the locale) is the server's; a test of that starts the program anew.
One thing differs: a turn is not cut short after half a second, or what one command does in a test would depend on how
busy the machine is. ``Project.start`` and the loop in bash run the program as it is.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

LATE = (
    "jinja2", "jinja2.meta", "jinja2.sandbox", "tiktoken", "difflib", "rich.console", "rich.live", "rich.progress",
    "rich.table", "zoneinfo", "jsonschema", "referencing", "tree_sitter_javascript", "tree_sitter_typescript", "uuid",
    "hashlib", "lzma", "filelock", "ctypes", "encodings.utf_8_sig", "encodings.ascii",
)  # fmt: skip
"""What commands import when they need it, besides modules of their own."""
STREAMS = 3
LONGEST_REQUEST = 1 << 20
COUNT = "--count"
COUNTED = b"+"


@dataclass(frozen=True)
class Server:
    """A running server and our end of its standard input."""

    process: subprocess.Popen[bytes]
    socket: socket.socket

    @classmethod
    def start(cls, repository: Path, *options: str) -> Server:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST_REQUEST)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.kit.forking", *options],
                cwd=repository,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
            )
        return cls(process, ours)


class Forker:
    """Starts the program of the repository at ``repository`` by forking; a server starts when it is first needed."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._lock = threading.Lock()
        self._servers: dict[bool, Server] = {}
        self._counting: set[Path] = set()

    def run(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: bytes, timeout_s: float
    ) -> tuple[int, bytes, bytes]:
        """Return exit code (negative: the signal), stdout and stderr, each read to its end.

        Raises ``subprocess.TimeoutExpired`` when it has not ended, or somebody still holds its streams.
        """
        with contextlib.ExitStack() as stack:
            ends = [os.pipe() for _ in range(STREAMS + 1)]
            opened = {fd for pair in ends for fd in pair}
            stack.callback(_close_all, opened)
            (theirs, ours), *others = ends
            handed = [theirs, *(write for _, write in others)]
            self._send({"argv": list(argv), "cwd": str(cwd), "env": dict(env)}, handed, counts=cwd in self._counting)
            for fd in handed:
                os.close(fd)
                opened.discard(fd)
            # What a command reads is far less than a pipe holds; a command that does not read it gets no signal here.
            with contextlib.suppress(BrokenPipeError):
                os.write(ours, stdin)
            os.close(ours)
            opened.discard(ours)
            out, err, report = self._read([read for read, _ in others], argv, timeout_s)
        if COUNTED in report:
            self._counting.add(cwd)
        return int(report.replace(COUNTED, b"").split()[1]), out, err

    def close(self) -> None:
        """Let the servers end."""
        for server in self._servers.values():
            server.socket.close()
            server.process.wait()
        self._servers.clear()

    def _send(self, request: dict[str, Any], fds: list[int], *, counts: bool) -> None:
        with self._lock:
            if not self._servers:
                atexit.register(self.close)
            if counts not in self._servers:
                self._servers[counts] = Server.start(self._repository, *([COUNT] if counts else []))
            socket.send_fds(self._servers[counts].socket, [json.dumps(request).encode()], fds)

    def _read(self, fds: list[int], argv: Sequence[str], timeout_s: float) -> list[bytes]:
        deadline = time.monotonic() + timeout_s
        read = {fd: bytearray() for fd in fds}
        with selectors.DefaultSelector() as selector:
            for fd in fds:
                selector.register(fd, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select(max(deadline - time.monotonic(), 0)):
                    part = os.read(key.fd, 65536)
                    read[key.fd] += part
                    if not part:
                        selector.unregister(key.fd)
                if selector.get_map() and time.monotonic() > deadline:
                    words = read[fds[-1]].split()
                    if len(words) == 1:
                        os.kill(int(words[0].rstrip(COUNTED)), signal.SIGKILL)
                    raise subprocess.TimeoutExpired(list(argv), timeout_s)
        return [bytes(read[fd]) for fd in fds]


def _close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def preload() -> None:
    """Import all that the program may need; otherwise every fork would do so again: 100 ms each time."""
    import agentjobs

    for module in pkgutil.walk_packages(agentjobs.__path__, "agentjobs."):
        if not module.name.endswith("__main__"):
            # What cannot be imported fails where a command needs it, as it would without us.
            with contextlib.suppress(Exception):
                importlib.import_module(module.name)
    for name in LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for kind in all_structs(msgspec.Struct):
        # The first conversion reads the annotations of a class, which each fork would do again. It may fail: no values.
        with contextlib.suppress(Exception):
            msgspec.convert({}, kind)
    compile_patterns()
    gc.freeze()


def compile_patterns() -> None:
    """Compile what most commands would compile again: the words of trouble, and the lexer of templates."""
    from agentjobs.agents.trouble_words import trouble
    from agentjobs.prompts.template import names_in, render

    trouble("")
    names_in("{{ id }}", "")
    render("{{ id }}", "", {"id": ""})


def all_structs(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    """Yield every class of facts and settings that is imported by now."""
    for below in kind.__subclasses__():
        yield below
        yield from all_structs(below)


def serve(*, counts: bool) -> None:
    """Fork for each request until the other side is gone."""
    preload()
    from agentjobs.run import engine
    from agentjobs.tokens.count import count

    engine.TURN_S = 60.0  # a turn does all that can be done, however slow the machine is
    if counts:
        count("")  # half a second, for commands that count tokens
    gc.freeze()
    requests = socket.socket(fileno=os.dup(0))
    requests.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LONGEST_REQUEST)
    running: dict[int, int] = {}
    ended, wake = os.pipe()
    for fd in (ended, wake):
        os.set_blocking(fd, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == ended:
                    os.read(ended, 65536)
                    report(running)
                elif not answer(requests, running):
                    return


def answer(requests: socket.socket, running: dict[int, int]) -> bool:
    """Start the program of one request; False without the other side. ``running``: pid, where its end is written."""
    data, fds, _, _ = socket.recv_fds(requests, LONGEST_REQUEST, STREAMS + 1)
    if not data:
        return False
    *streams, told = fds
    os.set_inheritable(told, False)  # or agents would have it, and it is read to its end
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        requests.close()
        _close_all(running.values())
        become(json.loads(data), streams, told)
    for fd in streams:
        os.close(fd)
    running[pid] = told
    return True


def report(running: dict[int, int]) -> None:
    """Write the exit codes of all programs that ended."""
    for pid in list(running):
        if (ended := os.waitpid(pid, os.WNOHANG))[0]:
            told = running.pop(pid)
            with contextlib.suppress(BrokenPipeError):
                os.write(told, f" {os.waitstatus_to_exitcode(ended[1])}".encode())
            os.close(told)


def become(request: dict[str, Any], streams: list[int], told: int) -> None:
    """Be ``python -m agentjobs``, in this process. Ends it; ``told`` gets the pid, and whether tokens were counted."""
    from agentjobs.cli import main
    from agentjobs.tokens.count import vocabulary

    os.write(told, str(os.getpid()).encode())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    loaded = vocabulary.cache_info().currsize
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["agentjobs", *request["argv"]]
    try:
        main.main()
    except SystemExit as ended:
        if vocabulary.cache_info().currsize > loaded:
            os.write(told, COUNTED)
        end(ended)


def end(ended: SystemExit) -> None:
    """End this process as Python would, but leave its modules be: to take them apart copies every page of the server's.

    That would be 50 ms of the 60 a start takes. Returns where Python has something to say about the end.
    """
    if isinstance(ended.code, str):
        raise ended
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        raise ended from None
    os._exit(ended.code or 0)


if __name__ == "__main__":
    serve(counts=COUNT in sys.argv)
