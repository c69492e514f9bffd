"""The real program as a separate process, forked from one that has imported it: a start costs 5 ms, not 200.

Run as a program (``python -m tests.kit.forking``) this is the server: it imports all of agentjobs, runs none of it, and
forks for each request that comes over its standard input, a socket. The child gets the arguments, environment,
directory and the three standard streams of the request, and is then what ``python -m agentjobs`` would be; a guardian
between the two reports how it ended. ``Forker.run`` is the other side.

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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LATE = (
    "jinja2", "jinja2.meta", "jinja2.sandbox", "tiktoken", "difflib", "rich.console", "rich.live", "rich.progress",
    "rich.table", "zoneinfo", "jsonschema", "referencing", "tree_sitter_javascript", "tree_sitter_typescript", "uuid",
    "hashlib", "lzma",
)  # fmt: skip
"""What commands import when they need it, besides modules of their own."""
STREAMS = 3
LONGEST_REQUEST = 1 << 20


class Forker:
    """Starts the program of the repository at ``repository`` by forking; made when first needed."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

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
            self._send({"argv": list(argv), "cwd": str(cwd), "env": dict(env)}, handed)
            for fd in handed:
                os.close(fd)
                opened.discard(fd)
            # What a command reads is far less than a pipe holds; a command that does not read it gets no signal here.
            with contextlib.suppress(BrokenPipeError):
                os.write(ours, stdin)
            os.close(ours)
            opened.discard(ours)
            out, err, told = self._read([read for read, _ in others], argv, timeout_s)
        return int(told.split()[1]), out, err

    def close(self) -> None:
        """Let the server end."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._server.wait()

    def _send(self, request: dict[str, Any], fds: list[int]) -> None:
        with self._lock:
            if self._socket is None:
                self._socket, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST_REQUEST)
                with server:
                    self._server = subprocess.Popen(
                        [sys.executable, "-m", "tests.kit.forking"],
                        cwd=self._repository,
                        stdin=server.fileno(),
                        stdout=subprocess.DEVNULL,
                    )
                atexit.register(self.close)
            socket.send_fds(self._socket, [json.dumps(request).encode()], fds)

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
                        os.kill(int(words[0]), signal.SIGKILL)
                    raise subprocess.TimeoutExpired(list(argv), timeout_s)
        return [bytes(read[fd]) for fd in fds]


def _close_all(fds: set[int]) -> None:
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
    gc.freeze()


def serve() -> None:
    """Fork for each request until the other side is gone."""
    preload()
    from agentjobs.run import engine
    from agentjobs.tokens.count import count

    engine.TURN_S = 60.0  # a turn does all that can be done, however slow the machine is
    count("")  # half a second, for commands that count tokens
    gc.freeze()
    requests = socket.socket(fileno=os.dup(0))
    requests.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LONGEST_REQUEST)
    while True:
        data, fds, _, _ = socket.recv_fds(requests, LONGEST_REQUEST, STREAMS + 1)
        if not data:
            return
        if os.fork() == 0:
            requests.close()
            guard(json.loads(data), fds)
        for fd in fds:
            os.close(fd)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def guard(request: dict[str, Any], fds: list[int]) -> None:
    """Fork the program and write its pid, then its exit code, to the last of ``fds``. Does not return."""
    *streams, told = fds
    pid = os.fork()
    if pid == 0:
        become(request, fds)
    for fd in (*streams, 0, 1, 2):
        os.close(fd)
    os.write(told, f"{pid} ".encode())
    status = os.waitpid(pid, 0)[1]
    os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def become(request: dict[str, Any], fds: list[int]) -> None:
    """Be ``python -m agentjobs``, in this process. Ends it."""
    from agentjobs.cli import main

    for stream in range(STREAMS):
        os.dup2(fds[stream], stream)
    for fd in fds:
        os.close(fd)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["agentjobs", *request["argv"]]
    try:
        main.main()
    except SystemExit as ended:
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
    serve()
