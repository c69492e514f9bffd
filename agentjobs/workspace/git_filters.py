"""Run filters of the user's git configuration in the sandbox when our git needs them.

To read or check out a file, git runs the commands of ``filter.<name>`` that an attribute names. The attributes, and
what a command like ``python3 -m nbstripout`` finds in the tree, may come from an agent. With ``sandbox = "bwrap"`` each
such command is therefore wrapped: it can only read the tree and the repository, may write ``.git/lfs``, and gets the
same environment as a check. No other command of the configuration is run: hooks and monitors are switched off for every
call, and no call asks for ``textconv`` or an external diff.
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
"""How long the configuration is cached: nothing in a sandbox can write there."""

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
        """Return the start of a command line: the rest of it runs in the sandbox, with the tree read-only."""
        program = shutil.which("bwrap")
        if program is None:
            raise UserError('sandbox = "bwrap" needs bubblewrap, but bwrap is not on PATH')
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
        # In a new session, or it could type into our terminal.
        return (first, "--new-session", *(word for name in hidden for word in ("--unsetenv", name)), *more)


def wrapped(key: str, command: str, confined: tuple[str, ...]) -> str:
    """Return the value of a filter setting with which git runs its command confined.

    In all but ``process`` git replaces ``%f`` by the quoted path: it becomes an argument, never text of a script.
    """
    if key.endswith(".process"):
        return shlex.join((*confined, "/bin/sh", "-c", command))
    inner = _PLACEHOLDER.sub(lambda found: '"$1"' if found[1] == "f" else "%", command)
    outer = shlex.join((*confined, "/bin/sh", "-c", inner, "sh")).replace("%", "%%")
    return f"{outer} %f" if '"$1"' in inner else outer
