"""``python -m tests.realagents.install``: put the pinned CLIs into .cache/agents, with npm; done ones stay."""

from __future__ import annotations

import subprocess

from tests.realagents import CACHE, REAL

for name, real in REAL.items():
    directory, stamp = CACHE / name, CACHE / name / f".installed-{real.version}"
    if stamp.exists():
        continue
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "package.json").write_text('{"private": true}\n')
    quiet = ("--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
    subprocess.run(["npm", "install", *quiet, f"{real.package}@{real.version}"], cwd=directory, check=True)
    if real.after_install:
        subprocess.run(real.after_install, cwd=directory, check=True)
    stamp.touch()
    print(f"{name} {real.version}")
