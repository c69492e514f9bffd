"""Run a command and wait for it: the one funnel for short commands. Lists only, never a shell string."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.model.errors import TimedOut, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence


_LOOK_S = 3.0
"""How often ``meanwhile`` is called."""

_GRACE_S = 1.0
"""How long a command that is to end may take to clean up."""

_DYING_S = 10.0
"""After so long we give up on what SIGKILL does not end (a process stuck in the kernel)."""


class Completed(NamedTuple):
    """How a command ended: exit code (negative: the signal that killed it), and all that it said."""

    code: int
    stdout: bytes
    stderr: bytes


def words(stderr: bytes, limit: int = 400) -> str:
    """Return what a failed command said, as one line of at most ``limit`` characters."""
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

    ``pass_fds`` are left open in the child: a lock held through one of them outlives us for as long as the
    child does. Raises ``UserError`` if the command cannot be started and, with ``check``, if it exits with
    anything but 0; ``TimedOut`` if it takes longer than ``timeout_s``. The command runs in a process group of
    its own, which is killed as a whole when the time is over, or when we are interrupted. It does not start where
    exit codes cannot be read. ``meanwhile`` is called every few seconds for as long as the command runs.
    """
    name = argv[0].decode("utf-8", "replace") if isinstance(argv[0], bytes) else argv[0]
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:  # `subprocess` would report exit code 0, whatever happened
        raise UserError(f"cannot run {name}: SIGCHLD is ignored, so its exit code would be lost; set it to the default")
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            # An empty input is a pipe at its end, as good as /dev/null.
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
        said = words(completed.stderr) or "it said nothing"
        raise UserError(f"{name} failed with exit code {completed.code}: {said}")
    return completed


def _outputs(
    process: subprocess.Popen[bytes],
    stdin: bytes | None,
    timeout_s: float | None,
    meanwhile: Callable[[], object] | None,
) -> tuple[bytes, bytes]:
    """Wait for a command and return what it said; ``TimeoutExpired`` if it takes too long."""
    left_s = timeout_s
    while meanwhile is not None and (left_s is None or left_s > _LOOK_S):
        try:
            return process.communicate(stdin, _LOOK_S)
        except subprocess.TimeoutExpired:
            meanwhile()
            stdin = None  # it was taken with the first call
            left_s = None if left_s is None else left_s - _LOOK_S
    return process.communicate(stdin, left_s)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a command with its process group, and return when all of it is dead, whoever holds its output open."""
    from agentjobs.disk.processes import wait_for_group  # commands that end need no process table

    for number in (signal.SIGTERM, signal.SIGKILL):  # a git that is asked politely removes its lock files
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S if number == signal.SIGTERM else None)
    wait_for_group(process.pid, _DYING_S)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was still to be written
                pipe.close()
