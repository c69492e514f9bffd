"""The process table: parents, groups, start times and markers. Read only.

Linux is read from ``/proc`` directly (3 µs a process); psutil serves other systems.
"""

from __future__ import annotations

import os
import sys
import time
from functools import cache

from msgspec import Struct

MARK = "AGENTJOBS_MARK"
"""The variable that all processes of an attempt carry."""

_LINUX = sys.platform == "linux"
_CHUNK = 1 << 16


class Process(Struct, frozen=True):
    """One line of the process table. ``start`` (clock ticks since boot) distinguishes it from others with its pid."""

    pid: int
    parent: int
    group: int
    session: int
    start: str
    dead: bool
    """A zombie: it runs nothing and holds nothing."""
    terminal: bool = False
    """It has a controlling terminal."""


class Starting(Exception):
    """A process is being replaced by another program: its environment cannot be read at this moment."""


@cache
def boot_id() -> str:
    """Return an id of this boot of the machine; empty if the system has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - as everywhere here
            return file.read().strip()
    except OSError:
        return ""


def pids() -> list[int]:
    """Return the numbers of all processes."""
    if _LINUX:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    import psutil  # type: ignore[import-untyped]  # 33 ms, needed only here

    return list(psutil.pids())


def process_table() -> dict[int, Process]:
    """Return all processes by pid."""
    return {pid: process for pid in pids() if (process := read_process(pid)) is not None}


def wait_for_group(group: int, limit_s: float) -> None:
    """Return when a process group has no living member any more, or after ``limit_s``.

    A killed process needs a moment to end, longer if it has much memory to give back.
    """
    deadline = time.monotonic() + limit_s
    pause_s = 0.001
    while any(process.group == group and not process.dead for process in process_table().values()):
        if time.monotonic() > deadline:
            return
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)


def read_process(pid: int) -> Process | None:
    """Return one process; None if there is none with that pid."""
    if not _LINUX:
        return _read_process_elsewhere(pid)
    fields = _read_stat(pid)
    if not fields:
        return None
    return Process(
        pid=pid,
        parent=int(fields[_PPID]),
        group=int(fields[_PGRP]),
        session=int(fields[_SESSION]),
        start=fields[_START].decode(),
        dead=fields[_STATE] in b"ZXx",
        terminal=fields[_TTY] != b"0",
    )


def read_marker(pid: int) -> bytes | None:
    """Return the whole value of ``AGENTJOBS_MARK`` that the process was started with; None if it has none.

    Also None without permission to look: a process of another user is not ours to kill. Raises :class:`Starting`.
    """
    if not _LINUX:
        return _read_variable_elsewhere(pid, MARK)
    now = time.monotonic()
    if now < _unmarked.get(pid, 0.0):
        return None
    try:
        data = _read(f"/proc/{pid}/environ")
    except OSError:  # gone, or forbidden
        return None
    if not data and _is_starting(pid):
        raise Starting
    mark = _value(data, MARK)
    if mark is None:
        if len(_unmarked) > PIDS_MAX:
            _unmarked.clear()
        _unmarked[pid] = now + KNOWN_S
    return mark


def read_variables(pid: int, *names: str) -> tuple[bytes | None, ...]:
    """Return values of variables that a process was started with; None for each that is missing or not accessible."""
    if not _LINUX:
        return tuple(_read_variable_elsewhere(pid, name) for name in names)
    try:
        data = _read(f"/proc/{pid}/environ")
    except OSError:
        return (None,) * len(names)
    return tuple(_value(data, name) for name in names)


def arguments(pid: int) -> list[str]:
    """Return the command line of a process (Linux); empty if it cannot be read."""
    try:
        return os.fsdecode(_read(f"/proc/{pid}/cmdline")).rstrip("\0").split("\0")
    except OSError:
        return []


def name_of(pid: int) -> str:
    """Return the name of a process (Linux); empty if there is none."""
    try:
        return os.fsdecode(_read(f"/proc/{pid}/comm")).rstrip("\n")
    except OSError:
        return ""


# --- Linux ------------------------------------------------------------------------------------------------

# Fields of /proc/<pid>/stat (proc(5)), counted from the state, which is its third.
_STATE, _PPID, _PGRP, _SESSION, _TTY, _START, _VSIZE, _ENV_START, _ENV_END = 0, 1, 2, 3, 4, 19, 20, 47, 48


KNOWN_S = 0.5
"""How long it is believed that a pid is still the same process, and that one without a marker has none.

Only a runner that is being started can get a marker later, and its record is known. A pid is not reused so soon,
although pids come round again within seconds."""

PIDS_MAX = 10_000
"""Most processes about which something is remembered: a long run meets millions."""

_unmarked: dict[int, float] = {}


def _is_starting(pid: int) -> bool:
    """Return whether a process has no visible environment because it is inside execve.

    Kernel threads and zombies have no memory. An environment that is really empty has an address. One that is not empty
    was not there yet a moment ago.
    """
    fields = _read_stat(pid)
    if len(fields) <= _ENV_END or int(fields[_VSIZE]) == 0:
        return False
    return int(fields[_ENV_END]) == 0 or fields[_ENV_START] != fields[_ENV_END]


def _value(environ: bytes, name: str) -> bytes | None:
    data, sought = b"\0" + environ, b"\0" + name.encode() + b"="
    at = data.find(sought)
    if at < 0:
        return None
    at += len(sought)
    end = data.find(b"\0", at)
    return data[at:] if end < 0 else data[at:end]


def _read_stat(pid: int) -> list[bytes]:
    try:
        data = _read(f"/proc/{pid}/stat")
    except OSError:
        return []
    # "pid (name) state …": a name may contain anything, even parentheses and spaces.
    return data[data.rfind(b")") + 1 :].split()


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, _CHUNK)
        size = len(data)
        while size == _CHUNK:
            more = os.read(fd, _CHUNK)
            size = len(more)
            data += more
    finally:
        os.close(fd)
    return data


# --- other systems ----------------------------------------------------------------------------------------


def _read_process_elsewhere(pid: int) -> Process | None:
    import psutil  # 33 ms, needed only here

    try:
        found = psutil.Process(pid)
        return Process(
            pid=pid,
            parent=found.ppid(),
            group=os.getpgid(pid),
            session=os.getsid(pid),
            start=str(found.create_time()),
            dead=found.status() == psutil.STATUS_ZOMBIE,
        )
    except (psutil.Error, OSError):
        return None


def _read_variable_elsewhere(pid: int, name: str) -> bytes | None:
    import psutil  # 33 ms, needed only here

    try:
        value = psutil.Process(pid).environ().get(name)
    except (psutil.Error, OSError):
        return None
    return None if value is None else os.fsencode(value)


def free_memory() -> int:
    """Return how many bytes new processes may use without swapping."""
    if _LINUX:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123 - as everywhere here
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    import psutil  # 33 ms, needed only here

    return int(psutil.virtual_memory().available)
