"""The CLIs that are driven: the newest of the registries, in a directory that git does not see, and their settings.

How each is pointed at a mock is as in ``tests.realagents``; what differs here says so. Installing is a plain ``npm
install`` or ``pip install`` of the package's newest version; nothing is installed for the machine.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.realagents import CACHE, REPOSITORY, real
from tests.realagents.install import NEWER_NODE, npm

NEWEST = REPOSITORY / ".cache" / "agents-new"


@dataclass(frozen=True)
class Cli:
    """Where the newest of one CLI comes from."""

    packages: tuple[str, ...]
    program: str
    after_install: tuple[tuple[str, ...], ...] = ()
    node: bool = True
    plain: str = ""
    """What ``Mock`` must know about an agent with edits in the text."""


CLIS: dict[str, Cli] = {
    "claude": Cli(
        ("@anthropic-ai/claude-code@latest",),
        "node_modules/.bin/claude",
        (("node", "node_modules/@anthropic-ai/claude-code/install.cjs"),),
    ),
    "codex": Cli(("@openai/codex@latest",), "node_modules/.bin/codex"),
    "gemini": Cli(("@google/gemini-cli@latest",), "node_modules/.bin/gemini"),
    "pi": Cli(("@earendil-works/pi-coding-agent@latest",), "node_modules/.bin/pi"),
    "opencode": Cli(
        ("opencode-ai@latest",),
        "node_modules/.bin/opencode",
        (("node", "node_modules/opencode-ai/postinstall.mjs"),),
    ),
    "copilot": Cli(("@github/copilot@latest",), "node_modules/.bin/copilot"),
    "qwen": Cli(("@qwen-code/qwen-code@latest",), "node_modules/.bin/qwen"),
    "kimi": Cli(("@moonshot-ai/kimi-code@latest",), "node_modules/.bin/kimi"),
    "aider": Cli(("aider-chat",), "bin/aider", node=False, plain="aider"),
    "mini-swe-agent": Cli(("mini-swe-agent", "mcp"), "bin/mini", node=False, plain="mini"),
}


def directory(name: str, pinned: bool = False) -> Path:
    """Return where a CLI is: the newest, or the one that the presets are pinned to."""
    return (CACHE if pinned else NEWEST) / name


def program(name: str, pinned: bool = False) -> Path:
    """Return its program."""
    return directory(name, pinned) / (real(name).program if pinned else CLIS[name].program)


def node() -> Path:
    """Return the directory of a Node.js 22."""
    return NEWEST / "node" / "node_modules" / ".bin"


def install(name: str) -> None:
    """Install the newest, unless one is there."""
    cli, into = CLIS[name], directory(name)
    if program(name).exists():
        return
    into.mkdir(parents=True, exist_ok=True)
    if not cli.node:
        subprocess.run([sys.executable, "-m", "venv", str(into)], check=True)
        subprocess.run([str(into / "bin" / "pip"), "install", "--quiet", *cli.packages], check=True)
        return
    if not (node() / "node").exists():
        (NEWEST / "node").mkdir(exist_ok=True)
        npm(NEWEST / "node", NEWER_NODE)
    npm(into, *cli.packages)
    for command in cli.after_install:
        subprocess.run(command, cwd=into, check=True)


@cache
def version(name: str, pinned: bool = False) -> str:
    """Return the version that is there, as its package says it."""
    if pinned:
        return real(name).version
    if CLIS[name].node:
        package = CLIS[name].packages[0].rpartition("@")[0]
        found = json.loads((directory(name) / "node_modules" / package / "package.json").read_text())
        return str(found["version"])
    package = CLIS[name].packages[0].replace("-", "_")
    (found_at,) = directory(name).glob(f"lib/python*/site-packages/{package}-*.dist-info")
    told = re.search(r"-([\d.]+)\.dist-info$", str(found_at))
    return told[1] if told else ""


def environment(name: str, home: Path, address: str, *, oauth: bool, patient: bool, pinned: bool) -> dict[str, str]:
    """Write the CLI's settings below ``home``; return its variables. ``patient``: it keeps its own long retries."""
    home.mkdir(parents=True, exist_ok=True)
    path = os.environ["PATH"]
    paths = [str(program(name, pinned).parent), *([str(node())] if CLIS[name].node else []), path]
    env = {"HOME": str(home), "PATH": ":".join(paths), "TZ": "UTC", "LANG": "C.UTF-8", "NO_PROXY": "127.0.0.1"}
    case = "limit" if oauth and name == "claude" else "ok"
    env |= real(name).prepare(home, address, case)
    if name == "codex":  # its own default, as most people have it: no profile names a model
        settings = home / ".codex" / "config.toml"
        text = f'model = "gpt-5.1-codex"\n{settings.read_text()}'
        settings.write_text(re.sub(r"(request|stream)_max_retries = \d+\n", "", text) if patient else text)
    if patient:
        env.pop("CLAUDE_CODE_MAX_RETRIES", None)
        if name == "gemini":
            settings = home / ".gemini" / "settings.json"
            told = json.loads(settings.read_text())
            told["general"].pop("maxAttempts")
            settings.write_text(json.dumps(told))
    return env
