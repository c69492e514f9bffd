"""Files that change together, from ``git log``: files that often change in one commit belong together.

For two files: of the commits that touch either, how many touch both. Left out are merges, commits that touch many files
(they show nothing about any two), and what our tasks landed (their files were grouped by planning).
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from agentjobs.workspace import trailers
from agentjobs.workspace.git import text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from agentjobs.workspace.git import Git

COMMITS_MAX: Final = 2_000
"""Most commits that are read, newest first."""

FILES_MAX: Final = 30
"""A commit that touches more files is left out."""

RENAMES_MAX: Final = 100
"""Up to this many files in one commit, git looks for files that were renamed and changed at once."""


class Coupling(Struct, frozen=True):
    """Two files that change together."""

    files: tuple[str, str]
    both: int
    """Commits that touch both."""
    either: int
    """Commits that touch at least one of them."""

    @property
    def share(self) -> float:
        """The share of commits with both files among those with either."""
        return self.both / self.either


class _Commit(Struct):
    """The changes in one commit."""

    touched: list[str]
    renamed: list[tuple[str, str]]
    """As (old, new)."""
    counts: bool


def coupled_files(git: Git, tip: str, files: Collection[str], *, support: int, share: float = 0.5) -> list[Coupling]:
    """Return the pairs of ``files`` that at least ``support`` commits both touch, at least ``share`` of either's.

    Paths are those of ``tip``; a file is followed through its renames. The strongest come first.
    """
    return couplings(_commits(git, tip), files, support=support, share=share)


def couplings(commits: Iterable[_Commit], files: Collection[str], *, support: int, share: float) -> list[Coupling]:
    """Count pairs; ``commits`` come newest first, so that each older name leads to the current one."""
    wanted = frozenset(files)
    today: dict[str, str] = {}
    alone: Counter[str] = Counter()
    together: Counter[tuple[str, str]] = Counter()
    for commit in commits:
        names = {today.get(path, path) for path in commit.touched}
        if commit.counts and len(names) <= FILES_MAX:
            known = sorted(names & wanted)
            alone.update(known)
            together.update(combinations(known, 2))
        renamed = [(old, today.get(new, new)) for old, new in commit.renamed]
        for _, new in commit.renamed:
            today.pop(new, None)  # an earlier file with this name was another one
        today.update(renamed)
    found = [
        Coupling((one, other), both, alone[one] + alone[other] - both)
        for (one, other), both in together.items()
        if both >= support and both >= share * (alone[one] + alone[other] - both)
    ]
    return sorted(found, key=lambda pair: (-pair.share, -pair.both, pair.files))


def _commits(git: Git, tip: str) -> Iterator[_Commit]:
    """Yield the changes of each commit, newest first, without merges."""
    done = git.run(
        "log", "-z", "--no-merges", f"--max-count={COMMITS_MAX}", "--topo-order", "--name-status",
        "--find-renames", f"-l{RENAMES_MAX}", "--no-ext-diff",
        f"--format=%x01%(trailers:key={trailers.TASK},valueonly,separator=%x2C)", "--end-of-options", tip,
    )  # fmt: skip
    for block in done.stdout.split(b"\x01")[1:]:
        head, *fields = block.replace(b"\n", b"\0", 1).split(b"\0")
        commit = _Commit([], [], counts=not head.strip())
        words = iter([field for field in fields if field])
        for status in words:
            path = text(next(words, b""))
            if status[:1] in (b"R", b"C"):
                old, path = path, text(next(words, b""))
                if status[:1] == b"R":
                    commit.renamed.append((old, path))
            commit.touched.append(path)
        yield commit
