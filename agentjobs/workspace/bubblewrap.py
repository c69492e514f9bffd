"""What a step in a sandbox sees of the file system, as the command line of bubblewrap. Pure.

All of the machine can be read. What differs from that is a :class:`View`; of two of its paths the deeper one counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FLAGS: Final = (
    "--die-with-parent",
    # The agent's processes are in namespaces of their own, and without any capability even where root starts them:
    # else one could mount the disk anew, or reach outside through /proc/<pid>/root of a process that is not confined.
    "--unshare-user", "--unshare-pid", "--unshare-ipc", "--cap-drop", "ALL",
    "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
    # The settings of the kernel belong to the user root, capability or not.
    *(word for name in ("bus", "fs", "irq", "mtrr", "sys", "sysrq-trigger")
      for word in ("--ro-bind-try", f"/proc/{name}", f"/proc/{name}")),
)  # fmt: skip
"""What every sandbox has in common. The network is the machine's."""


class View(Struct, frozen=True, kw_only=True):
    """Absolute paths without a link in them, ``..`` or a slash at the end; all but ``private`` and ``needed`` exist."""

    private: tuple[str, ...] = ()
    """Empty at first, may be written, gone with the step."""
    guarded: tuple[str, ...] = ()
    """Only to be read, though what is above may be written; ``writable`` goes before it."""
    writable: tuple[str, ...] = ()
    """The machine's own, and may be written."""
    hidden: tuple[str, ...] = ()
    """Empty, and cannot be written, but for other paths of the view that lie there."""
    fixed: tuple[str, ...] = ()
    """Only to be read, whatever the others say."""
    needed: tuple[str, ...] = ()
    """To be read like everything else, should they lie in something ``private``."""


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
    # What lies deeper is mounted later, or it would be covered.
    for path in _by_depth(mounts):
        words += [mounts[path], path] if mounts[path] == "--tmpfs" else [mounts[path], path, path]
    for path in _by_depth(view.hidden):
        if mounts[path] == "--tmpfs":
            words += ["--remount-ro", path]
    return (*words, "--chdir", cwd, "--", *argv)


def _by_depth(paths: Iterable[str]) -> list[str]:
    return sorted(paths, key=lambda path: path.rstrip("/").count("/"))


def _above(path: str, mounts: Mapping[str, str]) -> str:
    """Return the deepest of ``mounts`` that the path lies in, or that it is; empty: the path is as on the machine."""
    at = path
    while at and at not in mounts:
        at = at.rpartition("/")[0]
    return at
