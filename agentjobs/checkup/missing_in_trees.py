"""What a tree will not hold as the user's checkout does: submodules, and installed packages that lead back to it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from agentjobs.checkup.commands import checks_in_use
from agentjobs.checkup.finding import Finding
from agentjobs.disk.plain_files import read_plain
from agentjobs.model.errors import UserError
from agentjobs.project.project import POLICY
from agentjobs.run.programs import first_word, located
from agentjobs.text import variables
from agentjobs.text.toml import line_of
from agentjobs.workspace.snapshot import submodules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.project.project import Project

_EDITABLE: Final = ("lib/python*/*-packages/*.pth", "lib/python*/*-packages/*.egg-link",
                    "lib/python*/*-packages/__editable__*.py")  # fmt: skip
"""Where Python notes an installation that leads to sources elsewhere (``pip install --editable``)."""

_IMPORTS: Final = re.compile(r"python[\d.]*|pytest|py\.test|coverage")
"""Programs that certainly import what they check."""

_READS: Final = frozenset({"ruff", "mypy", "black", "flake8", "pyright", "isort", "grep", "test", "[", "git", "uv"})
"""Programs that read the files of the tree, or have an environment there."""

_SETTINGS: Final = ("pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg")
"""Where ``pythonpath`` makes pytest import from the tree."""

READ_MAX = 1 << 20


class _Leads(NamedTuple):
    """An installation that leads to the user's checkout."""

    place: str
    sources: str
    """The directory of the checkout that Python imports from; ``.`` is its top."""
    here: bool
    """It is in a directory which ``workspace.link`` or ``copy`` brings into each tree."""


def submodule_doubts(project: Project, base: str) -> Iterator[Finding]:
    """Warn of submodules of the commit that tasks start from, unless setup mentions them: they are empty in a tree."""
    if "submodule" in (project.policy.workspace.setup or ""):
        return
    paths = [path for path, _ in submodules(project.git, {}, base)]
    if paths:
        what = f"{', '.join(paths)} is a submodule" if len(paths) == 1 else f"{', '.join(paths)} are submodules"
        setup = 'workspace.setup = "git submodule update --init --recursive"'
        yield Finding(f"{what}, and empty in every tree: {setup}", POLICY, warning=True)


def checkout_doubts(project: Project) -> Iterator[Finding]:
    """Find checks that would test the user's checkout in place of the tree, so that whatever an agent does passes.

    An error where that is certain: Python imports a package from below the top of the checkout.
    """
    data = (project.root / POLICY).read_bytes()
    checks = [(path, command) for path, command in checks_in_use(project) if "PYTHONPATH=" not in command]
    configured = any(b"pythonpath" in _content(project.root / name) for name in _SETTINGS)
    for found in _leading_back(project):
        meant = [check for check in checks if _is_meant(first_word(check[1]), check[1], found)]
        certain = [] if found.sources == "." or configured else [c for c in meant if _imports(c[1])]
        if not meant and not found.here:
            continue
        path, command = (certain or meant or [(("workspace", "link"), "")])[0]
        message = (
            f"{'.'.join(path)}: {found.place} leads to the sources of your checkout, so `{command or 'a check'}` tests "
            f"those, not the tree's; begin the check with `PYTHONPATH={found.sources}`, or install in workspace.setup"
        )
        yield Finding(message, POLICY, line_of(data, path), warning=not certain)
    yield from _own_programs(project, checks)


def require_own_sources(project: Project) -> None:
    """Raise UserError if checks are certain to test the user's checkout in place of the tree."""
    if not os.path.lexists(project.file.path):  # the plan of the first phase makes the table
        return
    project.file.load()
    for finding in checkout_doubts(project) if project.uses_trees else ():
        if not finding.warning:
            raise UserError(f"{finding.message}; or use --force", file=finding.file, line=finding.line)


def _imports(command: str) -> bool:
    return _IMPORTS.fullmatch(os.path.basename(first_word(command))) is not None


def _is_meant(word: str, command: str, found: _Leads) -> bool:
    """Return whether a check may use an environment. With ``python -m`` the top of the tree is searched first."""
    if os.path.basename(word) in _READS or (found.sources == "." and re.search(r"\bpython[\d.]* -m ", command)):
        return False
    return found.here or "/" not in word


def _leading_back(project: Project) -> Iterator[_Leads]:
    """Yield the first installation that leads to the checkout, of each environment that checks may use."""
    root, settings = os.path.realpath(project.root), project.policy.workspace
    env = variables.passed(os.environ, project.policy.inherit)
    places = {project.root / path: True for path in (*settings.copy, *settings.link)}
    bins = [Path(entry) for entry in env.get("PATH", "").split(os.pathsep) if entry]
    if active := env.get("VIRTUAL_ENV"):
        bins.append(Path(active, "bin"))
    for directory in bins:
        if directory.name == "bin":
            places.setdefault(directory.parent, False)
    seen = set()
    for place, here in places.items():
        for found in sorted(file for pattern in _EDITABLE for file in place.glob(pattern)):
            sources = _sources(found, root)
            if sources and (real := os.path.realpath(found)) not in seen:
                seen.add(real)
                yield _Leads(_shown(found, project.root), sources, here)
    for entry in env.get("PYTHONPATH", "").split(os.pathsep):
        if os.path.isabs(entry) and (real := os.path.realpath(entry) + "/").startswith(root + "/"):
            yield _Leads("PYTHONPATH", os.path.relpath(real, root), here=False)


def _sources(file: Path, root: str) -> str:
    """Return the directory of the checkout that Python imports from because of this file; empty if there is none."""
    found = re.search(re.escape(os.fsencode(root)) + rb"(?:/([^'\"\n]*)|(?=['\"\s])|\Z)", _content(file))
    if found is None:
        return ""
    path = os.fsdecode(found[1] or b"").strip()
    return (os.path.dirname(path) if file.suffix == ".py" else path) or "."  # a finder names the package itself


def _own_programs(project: Project, checks: list[tuple[tuple[str, ...], str]]) -> Iterator[Finding]:
    """Find programs on PATH that are files of the checkout (``npm link``): a tree has its own, which is not tested."""
    root, data = os.path.realpath(project.root), (project.root / POLICY).read_bytes()
    words = {first_word(command) for _, command in checks}
    there = located(project, [word for word in words if word and "/" not in word])
    for path, command in checks:
        real = os.path.realpath(there.get(first_word(command), ""))
        if not os.path.isabs(there.get(first_word(command), "")) or not real.startswith(root + "/"):
            continue
        own = os.path.relpath(real, root)
        if project.git.line("ls-files", "--", own):
            what = f"{first_word(command)!r} is {own} of your checkout, not of the tree: write ./{own}"
            yield Finding(f"{'.'.join(path)}: {what}", POLICY, line_of(data, path))


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _content(path: Path) -> bytes:
    try:
        return read_plain(path, READ_MAX, follow=True)
    except OSError:
        return b""
