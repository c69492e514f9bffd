"""Steps as detached processes of this machine: start, observe, wait for, signal and kill them.

Nothing here trusts a bare pid: a step runs if its lock is held, and a process is ours by its start time or marker.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import re
import select
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.disk.plain_files import is_plain, put_aside
from agentjobs.disk.processes import MARK, boot_id, wait_for_group
from agentjobs.launch.reap import KILL_LIMIT_S, adopt_child, is_ours, kill_leftovers, reap_children
from agentjobs.launch.step import StepFiles, close_lock, is_held, open_lock, read_exit, read_record
from agentjobs.model.steps import Exited, Lost, Prepared, Running, StepState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_RUNNER = str(Path(__file__).resolve().with_name("runner.sh"))
_LOCK_FD = 9
_LOCK_PATIENCE_S = 0.25
_BLIND_INTERVAL_S = 0.05
_BLOCK = 512
_SAFE_MARK = re.compile(r"[A-Za-z0-9._:/@+-]+")

# Python ignores SIGPIPE and SIGXFSZ, `nohup` SIGHUP, a shell's `&` SIGINT: a command must inherit none of that.
_DEFAULT_SIGNALS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


def start(
    files: StepFiles,
    *,
    argv: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    stdin: str | None,
    file_size: int,
) -> int | None:
    """Start the step in a new session and return the pid of its runner; None if it was started before.

    ``env`` is the whole environment and must contain ``AGENTJOBS_MARK``; ``cwd`` is absolute; ``stdin`` is a file
    (None: nothing to read); ``file_size`` the most bytes of any one file the command may write. Output goes to the
    step's log. If the command is not found the exit code is 127, if ``cwd`` cannot be entered 126; the log has the
    reason. Raises OSError if not even a shell can be started (no memory, arguments too long, no such ``stdin``), and
    ValueError for a missing or invalid marker.
    """
    mark = env.get(MARK, "")
    if not _SAFE_MARK.fullmatch(mark):
        msg = f"{MARK}={mark!r}: a marker is letters, digits and ._:/@+-"
        raise ValueError(msg)
    reap_children()
    lock = _claim(files)
    if lock is None:
        return None
    try:
        if read_exit(files) is not None or read_record(files) is not None:
            return None
        pid = os.posix_spawn(
            "/bin/sh",
            ["sh", _RUNNER, files.prefix, cwd, str(max(1, file_size // _BLOCK)), boot_id(), _umask(), *argv],
            env,
            file_actions=[
                *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()),
                (os.POSIX_SPAWN_OPEN, 0, stdin or os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(files.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, lock, _LOCK_FD),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=_DEFAULT_SIGNALS,
        )
    finally:
        os.close(lock)
    adopt_child(pid)
    return pid


def state_of(files: StepFiles) -> StepState:
    """Return the state of the step. Takes no time and changes nothing.

    The lock is checked first, and kept while the facts are read: in the other order a step that is just finishing would
    count as lost.
    """
    lock = open_lock(files)
    if lock is None:
        record = read_record(files)
        output_at, output_bytes = _output(files)
        return Running(pid=record.pid if record else 0, output_at=output_at, output_bytes=output_bytes)
    try:
        end = read_exit(files)
        if end is not None:
            return Exited(code=end.code, at=files.exit.lstat().st_mtime, output_bytes=_output(files)[1])
        if read_record(files) is not None:
            return Lost(at=_output(files)[0])
        return Prepared()
    finally:
        close_lock(lock)


def signal_group(files: StepFiles, signum: int) -> bool:
    """Send a signal to the runner's process group, and return whether that was done.

    Only if the group is proved to be ours: the recorded pid has the recorded start time, or a living member of the
    group carries the marker. The runner survives SIGTERM and the like, and writes the exit.
    """
    record = read_record(files)
    if record is None or record.pid <= 1 or record.pid == os.getpgrp() or not is_ours(record):
        return False
    try:
        os.killpg(record.pid, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def hard_kill(files: StepFiles, marker: str) -> int:
    """Kill the step with its runner, and all that carries the marker; return how many processes were still found.

    Afterwards the step is lost, unless its exit was written before.
    """
    record = read_record(files)
    if signal_group(files, signal.SIGKILL) and record is not None:
        wait_for_group(record.pid, KILL_LIMIT_S)
    return kill_leftovers([marker], [files])


def wait_any(steps: Iterable[tuple[int, StepFiles]], timeout_s: float) -> None:
    """Return when one of these runners has ended, or after ``timeout_s``; without steps, just wait.

    The pid may be 0 if it was not known yet. Works for runners that another process started, too.
    """
    deadline = time.monotonic() + timeout_s
    poller = select.poll()
    blind: list[StepFiles] = []
    with contextlib.ExitStack() as stack:
        stack.callback(reap_children)
        for pid, files in steps:
            fd = _pidfd(pid)
            if fd is None:
                blind.append(files)
            else:
                stack.callback(os.close, fd)
                poller.register(fd, select.POLLIN)
            # The lock, checked after the pid was pinned, shows whether that pid is still the runner.
            if not is_held(files):
                return
        while (left_s := deadline - time.monotonic()) > 0:
            slice_s = min(left_s, _BLIND_INTERVAL_S) if blind else left_s
            if poller.poll(math.ceil(slice_s * 1000)) or not all(is_held(files) for files in blind):
                return


def _claim(files: StepFiles) -> int | None:
    """Take the step's lock, with a descriptor above 9; None if it is held for longer than an observer holds it."""
    _clear_the_way(files)
    fd = os.open(files.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        lock = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOCK_FD + 1)
    finally:
        os.close(fd)
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if read_record(files) is not None or time.monotonic() > deadline:
                os.close(lock)
                return None
            time.sleep(0.001)
        else:
            return lock


def _clear_the_way(files: StepFiles) -> None:
    """Put aside what is in the way of the step's files and is not a file; an agent may leave a FIFO or a link there."""
    for name in (files.prefix + ".lock", files.prefix + ".json", files.prefix + ".exit.json", files.prefix + ".at",
                 files.log_name):  # fmt: skip
        if os.path.lexists(name) and not is_plain(name):
            put_aside(name)


def _umask() -> str:
    """Return our umask as the shell writes it; the only way to read it is to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return f"{mask:03o}"


def _inheritable() -> list[int]:
    """Return descriptors that would be passed on by accident, such as the lock of a `flock 200` around the poll."""
    found = []
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):
            if (fd := int(name)) > 2 and os.get_inheritable(fd):  # noqa: PLR2004 - stdin, stdout, stderr
                found.append(fd)
    return found


def _pidfd(pid: int) -> int | None:
    if pid <= 0 or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # gone, or too many files open: use the lock instead
        return None


def _output(files: StepFiles) -> tuple[float, int]:
    """Return when the step last wrote output (or when it started), and the size of all output."""
    log = files.log_name
    for path in (log, f"{files.prefix}.json", f"{files.prefix}.lock"):
        try:
            found = os.lstat(path)
        except OSError:  # missing, or unreadable: an agent may have removed the right
            continue
        return found.st_mtime, found.st_size if path is log else 0
    return 0.0, 0
