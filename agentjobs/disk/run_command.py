"""Run a command and wait for it: the only place for short commands. Takes lists, never a shell string."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
import weakref
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.model.errors import TimedOut, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence


_LOOK_S = 3.0
"""How often ``meanwhile`` is called."""

_GRACE_S = 1.0
"""How long a command may clean up after SIGTERM."""

_DYING_S = 10.0
"""After this time we give up on a process that SIGKILL does not end (it is stuck in the kernel)."""


class Completed(NamedTuple):
    """How a command ended: exit code (negative: the signal that killed it) and all its output."""

    code: int
    stdout: bytes
    stderr: bytes


def words(stderr: bytes, limit: int = 400) -> str:
    """Return the error output of a failed command as one line of at most ``limit`` characters."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines()]
    text = "; ".join(dict.fromkeys(line for line in lines if line))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def run(
    argv: Sequence[str | bytes],
    *,
    cwd: str | os.PathLike[str],
    env: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
    stdin: bytes | None = None,
    check: bool = True,
    timeout_s: float | None = None,
    pass_fds: Collection[int] = (),
    meanwhile: Callable[[], object] | None = None,
) -> Completed:
    """Run ``argv`` in ``cwd`` until it ends, with ``stdin`` (default: nothing) and ``env`` (default: ours).

    ``pass_fds`` stay open in the child: a lock held through one of them outlives us for as long as the child runs.
    Raises ``UserError`` if the command cannot be started and, with ``check``, if its exit code is not 0; ``TimedOut``
    if it takes longer than ``timeout_s``. The command gets a new process group, which is killed as a whole on a timeout
    or when we are interrupted. It is not started if exit codes cannot be read. ``meanwhile`` is called every few
    seconds while the command runs.
    """
    name = argv[0].decode("utf-8", "replace") if isinstance(argv[0], bytes) else argv[0]
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:  # `subprocess` would always report exit code 0
        raise UserError(f"cannot run {name}: SIGCHLD is ignored, so its exit code would be lost; set it to the default")
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            # An empty input behaves like /dev/null.
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=tuple(pass_fds),
            process_group=0,
        )
    except FileNotFoundError as error:
        if error.filename is not None and str(error.filename) != name:
            raise UserError(f"cannot run {name}: the directory {error.filename} does not exist") from error
        raise UserError(f"cannot run {name}: it is not installed, or not on PATH") from error
    except OSError as error:
        raise UserError(f"cannot run {name}: {error.strerror or error}") from error
    try:
        stdout, stderr = _outputs(process, stdin or None, timeout_s, meanwhile)
    except BaseException as error:
        _kill(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise TimedOut(f"{name} did not end within {timeout_s:g} s") from error
        raise
    completed = Completed(process.returncode, stdout, stderr)
    if check and completed.code != 0:
        said = words(completed.stderr) or "no error output"
        raise UserError(f"{name} failed with exit code {completed.code}: {said}")
    return completed


class Dialogue:
    """A command that answers line by line on its output what it is asked on its input; ``close`` ends it.

    It also ends when we do, because its input is then closed. Errors are not read: ask again with ``run`` for the
    words. ``meanwhile`` is called every few seconds while we wait for an answer.
    """

    def __init__(
        self, argv: Sequence[str], *, cwd: str | os.PathLike[str], env: Mapping[bytes, bytes], timeout_s: float,
        meanwhile: Callable[[], object], pass_fds: Collection[int] = (),
    ) -> None:  # fmt: skip
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            argv, cwd=cwd, env=env, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0, process_group=0,
            pass_fds=tuple(pass_fds),
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        self._timeout_s, self._meanwhile = timeout_s, meanwhile
        self._read = b""
        self.close = weakref.finalize(self, _end, process)

    def ask(self, question: bytes) -> bytes:
        """Send a line and return the first line of the answer. Raises ``OSError`` if there is none."""
        self._stdin.write(question + b"\n")
        return self.line()

    def line(self) -> bytes:
        """Return the next line of the answer. Raises ``OSError`` if it does not come."""
        while b"\n" not in self._read:
            self._read += self._more()
        line, _, self._read = self._read.partition(b"\n")
        return line

    def rest(self, size: int) -> bytes:
        """Return the next ``size`` bytes of the answer. Raises ``OSError`` if they do not come."""
        parts, there = [self._read], len(self._read)
        while there < size:
            parts.append(self._more())
            there += len(parts[-1])
        data = b"".join(parts)
        self._read = data[size:]
        return data[:size]

    def _more(self) -> bytes:
        give_up_at = time.monotonic() + self._timeout_s
        poller = select.poll()
        poller.register(self._stdout, select.POLLIN)
        while not poller.poll(_LOOK_S * 1000):
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"no answer within {self._timeout_s:g} s")
            self._meanwhile()
        found: bytes = self._stdout.read(1 << 16)
        if not found:
            raise BrokenPipeError
        return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a dialogue: without more input the command exits."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        _kill(process)
    assert process.stdout is not None
    process.stdout.close()


def _outputs(
    process: subprocess.Popen[bytes],
    stdin: bytes | None,
    timeout_s: float | None,
    meanwhile: Callable[[], object] | None,
) -> tuple[bytes, bytes]:
    """Wait for a command and return its output. Raises ``TimeoutExpired`` if it takes too long."""
    left_s = timeout_s
    while meanwhile is not None and (left_s is None or left_s > _LOOK_S):
        try:
            return process.communicate(stdin, _LOOK_S)
        except subprocess.TimeoutExpired:
            meanwhile()
            stdin = None  # the first call has taken it
            left_s = None if left_s is None else left_s - _LOOK_S
    return process.communicate(stdin, left_s)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command with its process group; return when all of it is dead, even if others hold its output open."""
    from agentjobs.disk.processes import wait_for_group  # only needed here

    for number in (signal.SIGTERM, signal.SIGKILL):  # SIGTERM first: git then removes its lock files
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S if number == signal.SIGTERM else None)
    wait_for_group(process.pid, _DYING_S)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # input that was not yet written
                pipe.close()
