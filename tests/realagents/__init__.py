"""The real agent CLIs, pinned, and how each is pointed at the mock model; nothing here talks to a real service.

One module an agent: its ``REAL`` says where the CLI comes from, how it is started, and what a mock model has to answer
so that it meets each kind of trouble.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CACHE = REPOSITORY / ".cache" / "agents"
NAMES = ("claude", "codex", "gemini", "qwen", "copilot", "opencode", "kimi", "pi", "aider", "mini-swe-agent")

Script = list[dict[str, Any]]
"""What the mock model is to say: see ``tests.kit.mockmodel``."""


@dataclass(frozen=True)
class Real:
    """One CLI."""

    name: str
    version: str
    packages: tuple[str, ...]
    """For npm, ``name@version``; for pip, ``name==version``."""
    program: str
    """Path below the directory it is installed in."""
    start: list[str]
    """Arguments of a new conversation; ``{session}`` is a UUID of ours, ``{prompt}`` a file with the prompt, ``{dir}``
    a directory of the task's own (here HOME, so that ``transcripts`` reaches it)."""
    resume: list[str] | None
    """None: it cannot go on with a conversation."""
    prepare: Callable[[Path, str, str], dict[str, str]]
    """``prepare(home, address, case)`` writes the CLI's configuration below ``home`` and returns the variables it needs
    besides HOME and PATH; ``address`` is the mock's."""
    scripts: dict[str, Script] = field(default_factory=dict)
    """What the mock says in a case, where the case needs something of this CLI's own."""
    more: dict[str, list[str]] = field(default_factory=dict)
    """Arguments that a case adds."""
    after_install: tuple[tuple[str, ...], ...] = ()
    """Commands to run in that directory once the packages are there."""
    node: int = 20
    """The least major version of Node.js it runs under; 0: none."""
    learns: str = ""
    """A regular expression whose first group is the id of the session, in the output or else in what it keeps on disk;
    empty: ``{session}`` it is."""
    argument: bool = False
    """The prompt is the argument ``{text}``; otherwise it arrives on stdin."""
    classes: dict[str, str] = field(default_factory=dict)
    """Cases with a different class: because the CLI cannot know, or because only this CLI has the case."""
    usage_unknown: frozenset[str] = frozenset()
    """Cases in which nothing reports the usage."""
    reset_unknown: frozenset[str] = frozenset()
    """Cases in which nothing reports when a limit ends."""
    ends: dict[str, int] = field(default_factory=dict)
    """After how many requests a case is ended by SIGTERM, because the CLI would go on without end."""
    ends_s: dict[str, float] = field(default_factory=dict)
    """After how many seconds a case is ended by SIGTERM: the same, where no request reaches the mock."""
    notes: dict[str, str] = field(default_factory=dict)
    """What there is to know about a recording: ``note`` in its meta.json."""
    model: str = ""
    """The model a profile has to ask for, where the CLI's configuration cannot say it."""
    transcripts: tuple[str, ...] = ()
    """Globs below HOME of the files in which it keeps its sessions; of a database, ``tables`` are kept, as SQL."""
    tables: tuple[str, ...] = ()
    settle_s: float = 0.0
    """How long after a call of a tool it has written down what it did; the kills come later."""
    noise: str = ""
    """A regular expression of lines that are left out of the recordings: many, long, and of no meaning to anybody."""


@cache
def real(name: str) -> Real:
    """Return one CLI by its name."""
    found: Real = importlib.import_module(f"tests.realagents.{name.replace('-', '_')}").REAL
    return found


def directory(name: str) -> Path:
    """Return the directory a CLI is installed in, there or not."""
    return CACHE / name


def program(name: str) -> Path:
    """Return the path of the CLI in the cache, there or not."""
    return directory(name) / real(name).program


def environment(name: str, home: Path, address: str, case: str = "ok") -> dict[str, str]:
    """Write the CLI's configuration under ``home`` and return its whole environment."""
    home.mkdir(parents=True, exist_ok=True)
    path = os.environ["PATH"]
    if real(name).node > NODE:
        path = f"{CACHE / 'node' / 'node_modules' / '.bin'}:{path}"
    address = UNREACHABLE.get(case, address)
    env = {"HOME": str(home), "PATH": path, "TZ": "UTC", "LANG": "C.UTF-8", "NO_PROXY": "127.0.0.1"}
    return env | real(name).prepare(home, address, case)


UNREACHABLE = {"network": "http://127.0.0.1:9", "dns": "http://model.invalid"}
"""Cases in which no server answers: a port that is closed, a name that does not exist."""

NODE = 20
"""The major version of Node.js that the machine has; for what needs a newer one, one is installed too."""
