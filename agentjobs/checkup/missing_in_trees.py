"""What a tree will not hold as the user's checkout does: submodules, and installed packages that lead back to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agentjobs.checkup.finding import Finding
from agentjobs.disk.plain_files import read_plain
from agentjobs.project.project import POLICY
from agentjobs.workspace.snapshot import submodules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentjobs.project.project import Project

_EDITABLE = ("lib/python*/site-packages/*.pth", "lib/python*/site-packages/*.egg-link",
             "lib/python*/site-packages/__editable__*.py")  # fmt: skip
"""Where Python notes an installation that leads to sources elsewhere (``pip install --editable``)."""

READ_MAX = 1 << 20


def submodule_doubts(project: Project, base: str) -> Iterator[Finding]:
    """Warn of submodules of the commit that tasks start from, unless setup mentions them: they are empty in a tree."""
    if "submodule" in (project.policy.workspace.setup or ""):
        return
    paths = [path for path, _ in submodules(project.git, {}, base)]
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
        return read_plain(path, READ_MAX, follow=True)
    except OSError:
        return b""
