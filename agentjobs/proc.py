"""Run a command and wait for it: the one funnel for short commands. Lists only, never a shell string."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.errors import UserError

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Mapping, Sequence


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
) -> Completed:
    """Run ``argv`` in ``cwd`` until it ends, with ``stdin`` (default: nothing) and ``env`` (default: ours).

    ``pass_fds`` are left open in the child: a lock held through one of them outlives us for as long as the
    child does. Raises ``UserError`` if the command cannot be started, if it takes longer than ``timeout_s``
    and, with ``check``, if it exits with anything but 0. It does not start where exit codes cannot be read.
    """
    name = argv[0].decode("utf-8", "replace") if isinstance(argv[0], bytes) else argv[0]
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:  # `subprocess` would report exit code 0, whatever happened
        raise UserError(f"cannot run {name}: SIGCHLD is ignored, so its exit code would be lost; set it to the default")
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=env,
            capture_output=True,
            check=False,
            timeout=timeout_s,
            pass_fds=tuple(pass_fds),
            # An empty input is a pipe at its end, as good as /dev/null.
            input=stdin or b"",
        )
    except FileNotFoundError as error:
        if error.filename is not None and str(error.filename) != name:
            raise UserError(f"cannot run {name}: the directory {error.filename} does not exist") from error
        raise UserError(f"cannot run {name}: it is not installed, or not on PATH") from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{name} did not end within {timeout_s:g} s") from error
    except OSError as error:
        raise UserError(f"cannot run {name}: {error.strerror or error}") from error
    completed = Completed(done.returncode, done.stdout, done.stderr)
    if check and completed.code != 0:
        said = words(completed.stderr) or "it said nothing"
        raise UserError(f"{name} failed with exit code {completed.code}: {said}")
    return completed
