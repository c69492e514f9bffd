"""A template as its user has it: ``init KIND --demo`` in an empty directory, and the real program from there on."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass

from tests.kit.harness import LONG_S, Project

QUICK = 'min_free_memory = "1MiB"\nstart_interval_s = 0\n'
"""Nothing of a test depends on the memory of the machine, or on how far apart agents start."""


@dataclass
class Job(Project):
    """A scratch directory with a kind of job in it (or none yet); ``demo``: with the repository it ships."""

    kind: str = "blank"
    demo: bool = True

    def __post_init__(self) -> None:
        self.root = self.directory / "project"
        self.ledger_path = self.directory / "ledger.tsv"
        self.root.mkdir(parents=True)
        (self.directory / "bin").mkdir()
        shim = self.directory / "bin" / "agentjobs"
        shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m agentjobs "$@"\n')
        shim.chmod(0o755)
        if not self.demo:
            self.git("init", "-q", "-b", "main")
            for name, text in self.files.items():
                path = self.root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            self.git("add", "-A")
            self.git("commit", "-q", "--allow-empty", "-m", "first")
        if self.kind:
            self.run("init", self.kind, *(["--demo"] if self.demo else []), code=0)
            self.quick()

    def quick(self) -> None:
        """Let agents start at once, whatever the machine is like."""
        path = self.root / "agentjobs.toml"
        path.write_text(re.sub(r"(?m)^start_interval_s = .*\n", "", path.read_text()))
        self.policy(r"\[limits\]\n", f"[limits]\n{QUICK}")

    def policy(self, pattern: str, replacement: str) -> None:
        """Edit agentjobs.toml; the pattern is a line that must be there once."""
        path = self.root / "agentjobs.toml"
        text, count = re.subn(f"(?m)^{pattern}", replacement.replace("\\", r"\\"), path.read_text())
        assert count == 1, f"{pattern!r} is {count} times in agentjobs.toml of {self.kind}"
        path.write_text(text)

    def edit(self, task_id: str, **cells: str) -> None:
        """Set cells of one row; the header of a template's table comes after comments."""
        path = self.root / "tasks.tsv"
        comments = [line for line in path.read_text().splitlines(keepends=True) if line.startswith("#")]
        path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if line[0] != "#"))
        super().edit(task_id, **cells)
        path.write_text("".join(comments) + path.read_text())

    def sh(self, command: str, code: int = 0) -> str:
        """Run a shell command as the user would, and return what it printed."""
        env = self.env | {"PATH": f"{self.directory / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], cwd=self.root, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONG_S, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{command}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def settled(self, *, bash: bool = True) -> dict[str, str]:
        """Dispatch, run the README's loop (in bash: a new process each time) to its exit 2; return the statuses."""
        self.dispatch()
        looped = self.bash_loop() if bash else self.loop()
        assert looped.last == 2, f"{looped}\n{self.story()}"
        return self.statuses()
