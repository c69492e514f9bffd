"""The sandbox of a step: bubblewrap, with the tree writable and the rest of the machine read-only.

Writable are: the tree; what git needs for a commit there; a directory for the handoff; what the policy names; and for
the agent what its own settings name (its configuration, its sessions). Temporary directories are private.
``.agentjobs`` and the trees of other tasks are hidden. Processes outside cannot be seen, signalled or traced.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentjobs.disk import run_command
from agentjobs.disk.files import read_raw
from agentjobs.disk.plain_files import is_directory
from agentjobs.model.errors import UserError
from agentjobs.model.steps import AGENTS
from agentjobs.project.store import HANDOFF, own_dir
from agentjobs.workspace import bubblewrap
from agentjobs.workspace.sandbox_paths import TEMPORARY, interpreter, needed_by, private_places, real
from agentjobs.workspace.worktree_admin import clone_dir, tree_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agentjobs.model.facts import Intent
    from agentjobs.project.project import Project

_POLICY: Final = "agentjobs.toml"
_SCRIPT: Final = str(Path(__file__).resolve().with_name("sandbox.sh"))
_ENTER: Final = """\
import os, signal, sys
for number in {*range(1, 32)} - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_DFL)
os.write(8, b"+")
os.close(8)
try:
    os.execvp(sys.argv[1], sys.argv[1:])
except FileNotFoundError:
    sys.stderr.write(sys.argv[1] + ": not found\\n")
    sys.exit(127)
except OSError as error:
    sys.stderr.write(f"{sys.argv[1]}: {error.strerror}\\n")
    sys.exit(126)
"""
"""What bubblewrap starts: plain Python without our modules, because a shell cannot reset ignored signals."""

_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_OURS: Final = ("commondir", "gitdir", "config.worktree", "agentjobs-index", "agentjobs-placed", "agentjobs-setup")
"""Files in a worktree's administrative directory that our own git calls trust."""


def trouble() -> str:
    """Return why this machine cannot run a sandbox, as one line; empty if it can."""
    if sys.platform != "linux":
        return "the sandbox needs bubblewrap, which runs only on Linux"
    program = shutil.which("bwrap")
    if program is None:
        return "there is no bwrap on PATH; install bubblewrap"
    argv = bubblewrap.wrapped((*_entering(), "true"), _probe_view(), "/", program=program)
    done = run_command.run(("/bin/sh", _SCRIPT, *argv), cwd="/", check=False)
    if done.code == 0:
        return ""
    return f"bubblewrap cannot make a sandbox here: {run_command.words(done.stderr) or f'exit code {done.code}'}"


def require(project: Project) -> None:
    """Raise UserError if the policy wants a sandbox and this machine cannot run one."""
    from agentjobs.text.toml import line_of

    if project.policy.workspace.sandbox == "none" or not (found := trouble()):
        return
    line = line_of(read_raw(project.root / _POLICY, follow=True), ("workspace", "sandbox"))
    raise UserError(f'sandbox = "bwrap" does not work here: {found}, or set sandbox = "none"', file=_POLICY, line=line)


def confined(
    project: Project, intent: Intent, attempt_dir: Path, name: str, argv: Sequence[str], env: Mapping[str, str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the command line and the environment that run step ``name`` in its sandbox.

    Creates writable paths that are missing. UserError if that fails.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise UserError('sandbox = "bwrap" needs bubblewrap, but there is no bwrap on PATH; install bubblewrap')
    env = dict(env) | {key: TEMPORARY[0] for key in ("TMPDIR", "TMP", "TEMP") if key in env}
    if "AGENTJOBS_HANDOFF" in env:
        env["AGENTJOBS_HANDOFF"] = str(attempt_dir / HANDOFF / "handoff.md")
    view = _view(project, intent, attempt_dir, name, argv, env)
    inside = (*_entering(), *argv)
    cwd = intent.tree or str(project.root)
    return ("/bin/sh", _SCRIPT, *bubblewrap.wrapped(inside, view, cwd, program=program)), env


def _entering() -> tuple[str, ...]:
    return sys.executable, "-ISc", _ENTER


def _probe_view() -> bubblewrap.View:
    return bubblewrap.View(private=private_places(), needed=tuple(interpreter()))


def _view(
    project: Project, intent: Intent, attempt_dir: Path, name: str, argv: Sequence[str], env: Mapping[str, str]
) -> bubblewrap.View:
    root, handoff, prompt = project.root, env.get("AGENTJOBS_HANDOFF"), env.get("AGENTJOBS_PROMPT")
    guarded, writable, hidden = [root], [], [project.store.dir]
    fixed = list(attempt_dir.glob(f"{name}.*.check"))
    if fixed:
        at = attempt_dir / f"{name}.at"
        at.touch(mode=0o600)
        writable.append(at)
    if prompt and Path(prompt).exists():
        fixed.append(Path(prompt))
    if handoff:
        writable.append(Path(handoff).parent)
        writable[-1].mkdir(mode=0o700, exist_ok=True)
    if intent.tree and project.uses_trees:
        common, tree = project.git.common_dir, Path(intent.tree)
        guarded.append(common)
        hidden.append(common / "worktrees")
        writable.append(tree)
        if project.policy.workspace.kind == "clone":
            writable.append(clone_dir(tree))
        else:
            admin = Path(tree_environment(project.git, tree)["GIT_DIR"])
            # Commits in the tree write here. Branches and settings of the repository are read-only.
            writable += [admin, common / "objects"]
            # Every git process reads these: a named pipe in their place would block all of them.
            for shared in (common / "objects/info", common / "objects/pack"):
                shared.mkdir(exist_ok=True)
                fixed.append(shared)
            if is_directory(common / "lfs"):  # git-lfs stores file contents here
                writable.append(common / "lfs")
            (admin / "config.worktree").touch()  # or a step could create it, and our own git calls would obey it
            fixed += [path for path in map(admin.joinpath, _OURS) if path.exists()]
    named = list(project.policy.workspace.writable)
    agent = project.policy.agents.get(intent.agent)
    if name.partition("-")[0] in AGENTS and agent is not None:
        writable.append(own_dir(attempt_dir, name))
        named += agent.writable
    writable += _made(named, root, env)
    return bubblewrap.View(
        private=private_places(),
        guarded=real(guarded),
        writable=real(writable),
        hidden=real(hidden),
        fixed=real(fixed),
        needed=tuple(_needed(project, argv, env)),
    )


def _needed(project: Project, argv: Sequence[str], env: Mapping[str, str]) -> Iterator[str]:
    """Yield everything that a step reads outside of the tree: tools, the interpreter, HOME, targets of links."""
    words = [*argv, *env.get("PATH", "").split(os.pathsep), env.get("HOME", "")]
    yield from needed_by((*words, *(str(project.root / path) for path in project.policy.workspace.link)))


def _made(named: Iterable[str], root: Path, env: Mapping[str, str]) -> Iterator[Path]:
    """Yield the paths that the policy makes writable for a step; creates those that are missing."""
    for text in named:
        path = _expanded(text, env)
        if not path:
            continue
        place = root / path
        if os.path.realpath(place) == "/":
            raise UserError(f"writable: {text!r} is the whole machine; name the directory to write to")
        try:
            if not place.exists():
                _make(place)
        except OSError as error:
            raise UserError(f"writable: {text!r} cannot be made: {error.strerror}") from error
        yield place


def _make(path: Path) -> None:
    """Make a directory or, if the name has an extension, a file (JSON: an empty object)."""
    if not path.suffix:
        path.mkdir(mode=0o700, parents=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    if path.suffix == ".json":
        path.write_text("{}\n", encoding="utf-8")


def _expanded(text: str, env: Mapping[str, str]) -> str:
    """Expand ``${NAME}``, ``${NAME:-default}`` and a leading ``~`` as a shell would; empty if a variable is not set."""
    found = _VARIABLE.sub(lambda variable: env.get(variable[1]) or variable[2] or "", text)
    home = env.get("HOME", "")
    if found == "~" or found.startswith("~/"):
        return home + found[1:] if home else ""
    return found
