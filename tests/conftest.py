"""No test sees the user's HOME, git configuration or network, and none leaves a process behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from agentjobs.text.variables import looks_secret
from tests.kit import bytecode, sampling
from tests.kit.harness import Project, kill_all, processes_under

# How long an example takes depends on the machine. A run tries the same examples as the one before: what fails was
# changed. `make test PYTEST_ARGS=--hypothesis-profile=search` tries new ones.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("agentjobs", settings.get_profile("search"), derandomize=True)
settings.load_profile("agentjobs")

HOME = Path(tempfile.mkdtemp(prefix="agentjobs-home-"))
os.environ["HOME"] = str(HOME)
for _name in ("CONFIG", "CACHE", "DATA", "STATE"):
    os.environ[f"XDG_{_name}_HOME"] = str(HOME / _name.lower())
for _name in [name for name in os.environ if name.startswith(("GIT_", "AGENTJOBS_")) or looks_secret(name)]:
    del os.environ[_name]
os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
os.environ["GIT_CONFIG_NOSYSTEM"] = "1"

if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    # Or each of a thousand starts of the program would compile it again. Workers inherit the directory.
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(Path(__file__).parents[1] / ".cache" / "bytecode")
    sys.dont_write_bytecode = False

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts in the background deaf to Ctrl-C, and so would be every program the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

END_S = 60.0
"""How long what a test started may take to go away after it."""


def pytest_configure(config: pytest.Config) -> None:
    """Do once what each worker would do."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        with contextlib.suppress(AttributeError, TypeError):
            bytecode.warm(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what `make test` and `make test-quick` leave out; README.md says when to use which."""
    sampling.mark_slow(items)
    sampled = "not slow" in config.getoption("markexpr", "")
    for item in items:
        if sampled:
            sampling.fewer_examples(item)
        if "project" in getattr(item, "fixturenames", ()):
            item.add_marker("program")


@pytest.fixture(scope="session", autouse=True)
def _home() -> Iterator[None]:
    """Nothing is written to HOME in a whole session."""
    yield
    left = sorted(str(path.relative_to(HOME)) for path in HOME.rglob("*"))
    shutil.rmtree(HOME, ignore_errors=True)
    assert not left, f"written to HOME: {left}"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this machine may be talked to."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and address[0] not in {"127.0.0.1", "::1", "localhost"}:
            raise AssertionError(f"a test wants to talk to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _no_process_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """What agents and checks of a test's projects started is gone when the test ends."""
    directory = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if directory is None:
        return
    deadline = time.monotonic() + END_S
    while left := processes_under(directory):
        if time.monotonic() > deadline:
            told = [f"{pid}: {_command_line(pid)}" for pid in left]
            kill_all(left)
            pytest.fail("left running: " + "; ".join(told))
        time.sleep(0.02)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return "gone"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a scratch project with the scripted agent."""
    return Project(tmp_path)
