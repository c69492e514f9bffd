"""Filters of the user's git configuration, run in the sandbox by git of ours.

To take in or check out a file, git runs the commands of ``filter.<name>`` that an attribute names; the attributes, and
what a command like ``python3 -m nbstripout`` finds in the tree, may be an agent's. With ``sandbox = "bwrap"`` each such
command is therefore wrapped: it sees the tree and the repository only to read, may write ``.git/lfs``, and gets no
more of our environment than a check does. No other command of the configuration is run: hooks and monitors are
switched off for every call of ours, and no call asks for ``textconv`` or an external diff.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentjobs.disk.plain_files import is_directory
from agentjobs.model.errors import UserError
from agentjobs.text.variables import passed
from agentjobs.workspace import bubblewrap
from agentjobs.workspace.git import text
from agentjobs.workspace.sandbox_paths import needed_by, private_places, real

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentjobs.workspace.git import Git

_REMEMBERED_S: Final = 1.0
"""How long the configuration is taken to be as it was: nothing in a sandbox can write there."""

_FILTER: Final = r"^filter\..*\.(clean|smudge|process)$"
_PLACEHOLDER: Final = re.compile(r"%([f%])")


class Filters:
    """Returns the settings by which the filters of one repository run confined.

    ``root`` is the project's directory, ``hidden`` the one that no filter may see, ``inherit`` the names of variables
    that steps get (``inherit`` of agentjobs.toml).
    """

    def __init__(self, git: Git, root: Path, hidden: Path, inherit: Sequence[str]) -> None:
        self.git, self.root, self.hidden, self.inherit = git, root, hidden, inherit
        self._known: tuple[float, dict[str, str]] = (0.0, {})

    def __call__(self, bound: Mapping[str, str]) -> dict[str, str]:
        """Return the settings for a call of git that is bound to a tree by these variables."""
        commands = self._commands()
        if not commands:
            return {}
        confined = self._confined(bound["GIT_WORK_TREE"], bound["GIT_DIR"])
        return {key: wrapped(key, command, confined) for key, command in commands.items()}

    def _commands(self) -> dict[str, str]:
        now = time.monotonic()
        if now > self._known[0]:
            done = self.git.run("config", "-z", "--includes", "--get-regexp", _FILTER, ok=(0, 1))
            found = (entry.partition(b"\n") for entry in done.stdout.split(b"\0") if entry)
            self._known = (now + _REMEMBERED_S, {text(key): text(value) for key, _, value in found if value.strip()})
        return self._known[1]

    def _confined(self, tree: str, admin: str) -> tuple[str, ...]:
        """Return the beginning of a command line: what comes after it runs in the sandbox, with the tree to read."""
        program = shutil.which("bwrap")
        if program is None:
            raise UserError('sandbox = "bwrap" needs bubblewrap, and there is no bwrap on PATH')
        common, kept = self.git.common_dir, passed(os.environ, self.inherit)
        places = (*kept.get("PATH", "").split(os.pathsep), kept.get("HOME", ""))
        view = bubblewrap.View(
            private=private_places(),
            guarded=real([self.root, common]),
            writable=real([lfs] if is_directory(lfs := common / "lfs") else []),
            hidden=real([self.hidden, common / "worktrees"]),
            fixed=real([Path(tree), Path(admin)]),
            needed=tuple(needed_by(places)),
        )
        first, *more = bubblewrap.wrapped((), view, tree, program=program)
        hidden = (name for name in os.environ if name not in kept and not name.startswith("GIT_"))
        # In a session of its own, or it could type into the terminal that we may run in.
        return (first, "--new-session", *(word for name in hidden for word in ("--unsetenv", name)), *more)


def wrapped(key: str, command: str, confined: tuple[str, ...]) -> str:
    """Return the value for a filter by which git runs its command confined.

    In all but ``process`` git puts the path, quoted, for ``%f``: it becomes an argument, and never text of a script.
    """
    if key.endswith(".process"):
        return shlex.join((*confined, "/bin/sh", "-c", command))
    inner = _PLACEHOLDER.sub(lambda found: '"$1"' if found[1] == "f" else "%", command)
    outer = shlex.join((*confined, "/bin/sh", "-c", inner, "sh")).replace("%", "%%")
    return f"{outer} %f" if '"$1"' in inner else outer
