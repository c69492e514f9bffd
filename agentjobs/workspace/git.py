"""Run git in one place, without the user's hooks, signing, pagers and ``GIT_*``.

Paths are ``str`` relative to the top of the tree; bytes that are not UTF-8 are surrogate escapes. Times (``at``) are
seconds since the epoch: the same arguments make the same commit.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.disk import run_command
from agentjobs.model.errors import GitError, MachineError, TimedOut, TreeError
from agentjobs.workspace.git_environment import environment, with_settings
from agentjobs.workspace.hazards import disarm, disarm_common, disarm_shared, disarm_worktrees
from agentjobs.workspace.long_lived import LongLived, UnansweredError
from agentjobs.workspace.objects import Objects
from agentjobs.workspace.writes import Writes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

OLDEST_GIT = (2, 38)
"""The first version with ``merge-tree --write-tree``."""

QUICK_S, SLOW_S = 120.0, 900.0
"""Time limits: for a git that only asks, and one that walks a tree or packs a history (on a slow disk)."""

_SLOW = frozenset(
    {
        "add", "checkout", "checkout-index", "clean", "diff", "diff-files", "diff-index", "grep", "log", "ls-files",
        "merge-tree", "pack-objects",
        "read-tree", "reset", "status", "update-index", "worktree", "write-tree",
    }
)  # fmt: skip
_MACHINE = re.compile(
    rb"no space left|disk quota exceeded|read-only file system|too many open files|cannot allocate memory|"
    rb"out of memory|cannot fork|resource temporarily unavailable|input/output error|insufficient permission for add|"
    rb"unable to create temporary file|unable to write (?:loose )?object|unable to create temporary object",
    re.IGNORECASE,
)
"""Git's messages about faults of the machine, not of a tree."""

class Merged(NamedTuple):
    """A merge made in memory. ``tree`` contains conflict markers in the paths in ``conflicts``."""

    tree: str
    conflicts: tuple[str, ...]
    messages: tuple[str, ...]
    """Git's message for each conflict, for people and agents."""


class Change(NamedTuple):
    """One path that differs between two commits; an object id of zeros means absent."""

    path: str
    old_mode: str
    new_mode: str
    old: str
    new: str


class Worktree(NamedTuple):
    """A registered worktree: its directory, and the branch checked out there (``refs/heads/…``, or empty)."""

    directory: Path
    branch: str


def text(raw: bytes) -> str:
    """Return a path or ref that git printed, as text."""
    return raw.decode("utf-8", "surrogateescape")


def raw(path: str) -> bytes:
    """Return a path as git expects it on its standard input."""
    return path.encode("utf-8", "surrogateescape")


class Git:
    """The repository around ``root``."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._places: tuple[Path, Path, Path] | None = None
        self.confine: Callable[[Mapping[str, str]], Mapping[str, str]] | None = None
        """Returns settings that confine the commands which git runs on the files of a tree."""
        self._bound: dict[str, str] = {}
        """Variables that bind calls to the checkout at ``root``, whatever an agent wrote into its settings."""
        self._long_lived: list[LongLived] = []
        self.objects = Objects(self._live("cat-file", "--batch-command"))
        self._writes = Writes(self._live, self.run, self.resolve, lambda: self.common_dir)

    # --- running git ----------------------------------------------------------------------------------------

    def run(
        self,
        *args: str | bytes,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        ok: Collection[int] = (0,),
        pass_fds: Collection[int] = (),
    ) -> run_command.Completed:
        """Run ``git args`` in ``cwd`` (default: root); ``GitError`` if the exit code is not in ``ok``.

        It is a ``MachineError`` if the machine refused, and a ``TreeError`` if ``env`` binds the call to a tree and the
        fault is in that tree, or git did not finish there.
        """
        names = [arg.decode("utf-8", "replace") if isinstance(arg, bytes) else arg for arg in args]
        command = next((name for name in names if not name.startswith("-")), "")
        kind = GitError
        if env is not None and "GIT_WORK_TREE" in env:
            kind = TreeError
            if self.confine is not None:
                env = with_settings(env, self.confine(env))
        if cwd is None:
            env = self._bound | dict(env or {})
        self._disarm()
        freed: list[bool] = []
        try:
            for _ in range(2):
                done = run_command.run(
                    ["git", *args], cwd=cwd or self.root, env=environment(env), stdin=stdin, check=False,
                    timeout_s=SLOW_S if command in _SLOW else QUICK_S, pass_fds=pass_fds,
                    meanwhile=lambda: freed.append(self._release(env or {})),
                )  # fmt: skip
                if done.code == 0 or not any(freed):
                    break  # otherwise it read the end of a pipe, which is removed now
        except TimedOut as error:
            raise kind(f"git {command} was killed: {error}") from error
        if done.code not in ok:
            said = run_command.words(done.stderr) or f"exit code {done.code}"
            if _MACHINE.search(done.stderr):
                kind = MachineError
            elif kind is TreeError:
                self._check_shared()
            raise kind(f"git {command} failed: {said}")
        return done

    def _disarm(self) -> None:
        disarm_common(self._places[1] if self._places is not None else self.root / ".git")

    def _live(self, *args: str, pass_fds: Collection[int] = ()) -> LongLived:
        """Return a git that is asked again and again, which is started with the first question."""

        def start(meanwhile: Callable[[], object]) -> run_command.Dialogue:
            env = environment(self._bound)
            return run_command.Dialogue(
                ("git", *args), cwd=self.root, env=env, timeout_s=QUICK_S, meanwhile=meanwhile, pass_fds=pass_fds
            )

        self._long_lived.append(LongLived(start, self._disarm, lambda: self._release({})))
        return self._long_lived[-1]

    def let_go(self) -> None:
        """End each git that waits for a question: nobody asks for a while."""
        for git in self._long_lived:
            git.close()

    def _release(self, env: Mapping[str, str]) -> bool:
        """Unblock a git that waits at a pipe which appeared since we checked; return whether there was one."""
        freed = disarm_shared(self._places[1] if self._places is not None else self.root / ".git")
        tree = env.get("GIT_WORK_TREE")
        if tree is not None and tree != self._bound.get("GIT_WORK_TREE"):
            with contextlib.suppress(TreeError, OSError):
                disarm(Path(tree))
        return freed

    def _check_shared(self) -> None:
        """Raise ``MachineError`` if the repository itself, and not a tree, made git fail."""
        try:
            self.run("hash-object", "-w", "--stdin", stdin=os.urandom(16))
            self.run("for-each-ref", "--count=1", "--format=%(parent)", "refs/heads")
        except GitError as error:
            raise MachineError(error.message) from error

    def line(self, *args: str, env: Mapping[str, str] | None = None, stdin: bytes | None = None) -> str:
        """Run git and return its output without the line end."""
        return text(self.run(*args, env=env, stdin=stdin).stdout).rstrip("\n")

    # --- the repository -----------------------------------------------------------------------------------

    def version(self) -> tuple[int, ...]:
        """Return git's version, as ``(2, 39, 5)``."""
        found = re.search(r"(\d+(?:\.\d+)+)", self.line("version"))
        return tuple(int(part) for part in found[1].split(".")) if found else ()

    def refusal(self) -> str:
        """Return in git's own words why ``root`` is not in a working tree; empty if it is.

        A checkout with an index is one, even if ``core.bare`` or ``core.worktree`` in its settings disagrees: an agent
        may have set them, and that must not stop the tasks of others. Later calls are bound to that checkout.
        """
        done = self.run("rev-parse", "--is-inside-work-tree", ok=(0, 128))
        own = self.root / ".git"
        if done.code != 0:
            if own.exists() or not done.stderr.startswith(b"fatal: not a git repository (or any"):
                return f"git cannot use the repository of {self.root}: {run_command.words(done.stderr)}"
            return f'{self.root} is not in a git repository; `git init` and commit, or workspace.kind = "none"'
        if (own / "index").is_file():
            self._bound = {"GIT_DIR": str(own), "GIT_WORK_TREE": str(self.root)}
        elif done.stdout.strip() != b"true":
            where = self.line("rev-parse", "--absolute-git-dir")
            return (
                f"{self.root} is not in a working tree: {where} is a bare repository; use one of its worktrees "
                f"(`git worktree list` names them), or, if it is not meant to be bare, `git config core.bare false`"
            )
        return ""

    def meddled(self) -> Iterator[tuple[str, str]]:
        """Yield the settings of a checkout that misdirect git's own commands, and their values."""
        for key in ("core.bare", "core.worktree") if self._bound else ():
            value = self.run("config", "--local", "--get", key, ok=(0, 1, 2)).stdout.decode("utf-8", "replace").strip()
            usual = value.lower() in {"", "false", "no", "off", "0"}
            if not usual and (self.root / ".git" / value).resolve() != self.root.resolve():
                yield key, value

    def branch(self) -> str:
        """Return what is checked out in ``root``, for people: a branch, or HEAD if it is on none."""
        return self.run("symbolic-ref", "--short", "-q", "HEAD", ok=(0, 1)).stdout.decode().strip() or "HEAD"

    def _where(self) -> tuple[Path, Path, Path]:
        if self._places is None:
            places = ("--show-toplevel", "--git-common-dir", "--git-dir")
            done = self.run("rev-parse", "--path-format=absolute", *places)
            top, common, own = map(Path, text(done.stdout).splitlines())
            self._places = top, common, own
        return self._places

    @property
    def toplevel(self) -> Path:
        """The top directory of the working tree."""
        return self._where()[0]

    @property
    def common_dir(self) -> Path:
        """The directory that all worktrees of the repository share."""
        return self._where()[1]

    def kept(self, task_id: str, name: str | int) -> str:
        """Return the ref that keeps something of a task: ``refs/agentjobs/<id>/<name>``.

        All worktrees of a repository share its refs: in a linked one, ``+<name of the worktree>`` comes before the id.
        """
        _, common, own = self._where()
        return f"refs/agentjobs/{f'+{own.name}/' if own != common else ''}{task_id}/{name}"

    def worktrees(self) -> Iterator[Worktree]:
        """Yield every registered worktree, the main one first."""
        disarm_worktrees(self.common_dir)
        for block in self.run("worktree", "list", "--porcelain", "-z").stdout.split(b"\0\0"):
            facts = dict(line.partition(b" ")[::2] for line in block.split(b"\0") if line)
            if b"worktree" in facts:
                yield Worktree(Path(text(facts[b"worktree"])), text(facts.get(b"branch", b"")))

    # --- commits and refs ---------------------------------------------------------------------------------

    def resolve(self, ref: str) -> str | None:
        """Return the commit for ``ref`` (branch, tag, id …), or None."""
        with contextlib.suppress(UnansweredError):
            found = self.objects.find(f"{ref}^{{commit}}")
            return found.id if found is not None else None
        done = self.run("rev-parse", "--verify", "-q", "--end-of-options", ref + "^{commit}", ok=(0, 1, 128))
        return text(done.stdout).strip() or None if done.code == 0 else None

    def tree_of(self, commit: str) -> str:
        """Return the id of a commit's tree."""
        with contextlib.suppress(UnansweredError):
            if (found := self.objects.find(f"{commit}^{{tree}}")) is not None:
                return found.id
        return self.line("rev-parse", "--verify", "--end-of-options", commit + "^{tree}")

    def submodules(self, commit: str) -> tuple[str, ...]:
        """Return the paths of the submodules in a commit."""
        listed = ("ls-tree", "-r", "-t", "-z", "--full-tree", commit)
        return self.objects.submodules(self.tree_of(commit), lambda: self.run(*listed).stdout)

    def files(self, commit: str) -> dict[str, str]:
        """Return the plain files of a commit, each with the id of its content."""
        listed = self.run("ls-tree", "-r", "-z", "--full-tree", commit).stdout.split(b"\0")
        heads = (line.partition(b"\t") for line in listed if line.startswith(b"100"))
        return {text(path): head.split(b" ")[2].decode() for head, _, path in heads}

    def contains(self, tip: str, commit: str) -> bool:
        """Return whether ``commit`` is ``tip`` or one of its ancestors; both are ids."""
        with contextlib.suppress(UnansweredError):
            if (near := self.objects.contains(tip, commit)) is not None:
                return near
        return self.run("merge-base", "--is-ancestor", commit, tip, ok=(0, 1)).code == 0

    def commit_tree(self, tree: str, parents: Iterable[str], message: str, at: float) -> str:
        """Make a commit object and return its id; the same arguments give the same id."""
        return self._writes.commit(tree, tuple(parents), message, at)

    def update_ref(self, ref: str, new: str, old: str | None) -> bool:
        """Move ``ref`` from ``old`` (None: it must not exist) to ``new``; False if it was elsewhere.

        Also True if it is already at ``new``: an interrupted call can be repeated.
        """
        return self._writes.move(ref, new, old)

    def keep(self, ref: str, commit: str) -> None:
        """Point ``ref`` (under ``refs/agentjobs/``) at ``commit``, so that git never drops it."""
        for _ in range(3):
            if self.update_ref(ref, commit, self.resolve(ref)):
                return
        raise GitError(f"{ref} is being moved by another process")

    # --- trees --------------------------------------------------------------------------------------------

    def changes(self, base: str, commit: str) -> list[Change]:
        """Return the differences between two commits or trees; a rename is a deleted and an added path."""
        return parse_raw(self.run("diff-tree", "-r", "-z", "--no-renames", "--raw", base, commit).stdout)

    def changed(self, base: str, commit: str) -> tuple[str, ...]:
        """Return the paths that differ between two commits."""
        return tuple(change.path for change in self.changes(base, commit))

    def blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of these objects by id; unknown ids and ids of zeros are left out."""
        try:
            read = {wanted: self.objects.read(wanted) for wanted in dict.fromkeys(ids)}
        except UnansweredError as error:
            raise GitError("git cat-file failed: it gave no answer") from error
        return {wanted: found.data for wanted, found in read.items() if found is not None}

    def merge(self, target: str, commit: str) -> Merged:
        """Merge two commits in memory. Raises ``GitError`` if they have no common history."""
        done = self.run(
            "merge-tree", "--write-tree", "-z", "--name-only", "--messages", target, commit, ok=(0, 1)
        )
        fields = done.stdout.split(b"\0")
        tree = fields[0].decode("ascii")
        if done.code == 0:
            return Merged(tree, (), ())
        end = fields.index(b"", 1)
        conflicts = tuple(dict.fromkeys(text(path) for path in fields[1:end]))
        return Merged(tree, conflicts, tuple(_conflict_messages(fields[end + 1 :])))


def parse_raw(data: bytes) -> list[Change]:
    """Read the output of ``diff-tree`` and ``diff-index`` with ``--raw -z --no-renames``."""
    fields = data.split(b"\0")
    found = []
    for head, path in zip(fields[0:-1:2], fields[1::2], strict=True):
        old_mode, new_mode, old, new, _ = head.decode("ascii").lstrip(":").split(" ")
        found.append(Change(text(path), old_mode, new_mode, old, new))
    return found


def _conflict_messages(fields: list[bytes]) -> Iterator[str]:
    """Yield merge-tree's messages, each stored as a count of paths, the paths, a kind and the text."""
    at = 0
    while at < len(fields) and fields[at].isdigit():
        count = int(fields[at])
        kind, message = fields[at + count + 1 : at + count + 3]
        if kind != b"Auto-merging":
            yield text(message).strip()
        at += count + 3
