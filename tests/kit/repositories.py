"""Real repositories for tests, made and looked at with plain git."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from agentjobs.workspace.git import Git

if TYPE_CHECKING:
    from pathlib import Path


def sh(cwd: Path, *argv: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env.update(GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1")
    for who in ("AUTHOR", "COMMITTER"):
        env[f"GIT_{who}_NAME"] = env[f"GIT_{who}_EMAIL"] = "someone"
    return subprocess.run(argv, cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout.strip()


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def make_repository(path: Path, files: dict[str, str] | None = None) -> Git:
    path.mkdir(parents=True, exist_ok=True)
    sh(path, "git", "init", "-q", "-b", "main", ".")
    for name, content in (files or {"a.txt": "one\ntwo\nthree\n", "lib/b.txt": "b\n"}).items():
        write(path / name, content)
    write(path / ".gitignore", "*.log\nnode_modules/\n.agentjobs/\n")
    sh(path, "git", "add", "-A")
    sh(path, "git", "commit", "-q", "-m", "first")
    return Git(path)


def contents(git: Git, commit: str) -> dict[str, str]:
    listed = git.run("ls-tree", "-r", "-z", "--name-only", commit).stdout.split(b"\0")
    return {
        name.decode("utf-8", "surrogateescape"): git.run(
            "cat-file", "blob", commit.encode() + b":" + name
        ).stdout.decode()
        for name in listed
        if name
    }
