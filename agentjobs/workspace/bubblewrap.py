"""What a step in a sandbox sees of the file system, as the command line of bubblewrap. Pure.

The whole machine can be read. A :class:`View` lists the differences; of two of its paths the deeper one counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FLAGS: Final = (
    "--die-with-parent",
    # The agent's processes get new namespaces, and no capabilities even if root starts them: otherwise one could mount
    # the disk again, or reach outside through /proc/<pid>/root of a process that is not confined.
    "--unshare-user", "--unshare-pid", "--unshare-ipc", "--cap-drop", "ALL",
    "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
    # The kernel's settings belong to the user root, even without capabilities.
    *(word for name in ("bus", "fs", "irq", "mtrr", "sys", "sysrq-trigger")
      for word in ("--ro-bind-try", f"/proc/{name}", f"/proc/{name}")),
)  # fmt: skip
"""Flags of every sandbox. The network is the machine's."""


class View(Struct, frozen=True, kw_only=True):
    """Absolute paths without links, ``..`` or a slash at the end; all but ``private`` and ``needed`` exist."""

    private: tuple[str, ...] = ()
    """Empty at first, writable, gone after the step."""
    guarded: tuple[str, ...] = ()
    """Read-only, even inside a writable path; ``writable`` takes precedence."""
    writable: tuple[str, ...] = ()
    """The machine's own, writable."""
    hidden: tuple[str, ...] = ()
    """Empty and read-only, except for other paths of the view inside."""
    fixed: tuple[str, ...] = ()
    """Read-only, whatever the others say."""
    needed: tuple[str, ...] = ()
    """Readable like everything else, even inside something ``private``."""


def wrapped(argv: Sequence[str], view: View, cwd: str, *, program: str = "bwrap") -> tuple[str, ...]:
    """Return the command line that runs ``argv`` in ``cwd`` with that view."""
    mounts = dict.fromkeys(view.private, "--tmpfs")
    mounts |= dict.fromkeys(view.guarded, "--ro-bind")
    mounts |= dict.fromkeys(view.writable, "--bind")
    mounts |= dict.fromkeys(view.hidden, "--tmpfs")
    mounts |= dict.fromkeys(view.fixed, "--ro-bind")
    private = frozenset(view.private) - frozenset(view.hidden)
    for path in _by_depth(view.needed):
        above = _above(path, mounts)
        if above != path and above in private and mounts[above] == "--tmpfs":
            mounts[path] = "--ro-bind"
    words: list[str] = [program, *FLAGS]
    # Deeper paths are mounted later, or they would be covered.
    for path in _by_depth(mounts):
        words += [mounts[path], path] if mounts[path] == "--tmpfs" else [mounts[path], path, path]
    for path in _by_depth(view.hidden):
        if mounts[path] == "--tmpfs":
            words += ["--remount-ro", path]
    return (*words, "--chdir", cwd, "--", *argv)


def _by_depth(paths: Iterable[str]) -> list[str]:
    return sorted(paths, key=lambda path: path.rstrip("/").count("/"))


def _above(path: str, mounts: Mapping[str, str]) -> str:
    """Return the deepest of ``mounts`` that is the path or contains it; empty: the path is as on the machine."""
    at = path
    while at and at not in mounts:
        at = at.rpartition("/")[0]
    return at
