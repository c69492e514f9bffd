"""What a tree will not hold as the user's checkout does: submodules, and installed packages that lead back to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agentjobs.finding import Finding
from agentjobs.git import text
from agentjobs.project import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentjobs.project import Project

_EDITABLE = ("lib/python*/site-packages/*.pth", "lib/python*/site-packages/*.egg-link",
             "lib/python*/site-packages/__editable__*.py")  # fmt: skip
"""Where Python notes an installation that leads to sources elsewhere (``pip install --editable``)."""

READ_MAX = 1 << 20


def submodule_doubts(project: Project, base: str) -> Iterator[Finding]:
    """Warn of submodules of the commit that tasks start from, unless setup mentions them: they are empty in a tree."""
    if "submodule" in (project.policy.workspace.setup or ""):
        return
    listing = ("config", f"--blob={base}:.gitmodules", "--no-includes", "-z", "--get-regexp", r"^submodule\..*\.path$")
    done = project.git.run(*listing, ok=range(256))  # 1 and 128: there are none
    entries = done.stdout.split(b"\0") if done.code == 0 else []
    paths = [text(entry.partition(b"\n")[2]) for entry in entries if entry]
    if paths:
        what = f"{', '.join(paths)} is a submodule" if len(paths) == 1 else f"{', '.join(paths)} are submodules"
        setup = 'workspace.setup = "git submodule update --init --recursive"'
        yield Finding(f"{what}, and empty in every tree: {setup}", POLICY, warning=True)


def link_doubts(project: Project) -> Iterator[Finding]:
    """Warn of packages in linked directories that are installed from the user's checkout: checks would test that."""
    root = os.fsencode(os.path.realpath(project.root))
    for path in project.policy.workspace.link:
        for place in _EDITABLE:
            for found in sorted((project.root / path).glob(place)):
                if root in _content(found):
                    message = (
                        f"workspace.link: {found.relative_to(project.root)} leads to the sources of your checkout: "
                        "checks would test those, not the tree's; install in workspace.setup instead"
                    )
                    yield Finding(message, POLICY, warning=True)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(READ_MAX)
    except OSError:
        return b""
