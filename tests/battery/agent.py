"""The agent of the battery: it leaves in its tree what its row says, and nothing outside of it by accident.

Standard library alone, and nothing of ours: it is started as ``python -IS agent.py DIR LEDGER`` in the tree, and as
``agent.py linger …`` for the processes it leaves behind. ``AGENTJOBS_ROW_DEED`` is a JSON object; its keys are those of
``tests.battery.leftovers.Deed``. What it could not do (a sandbox, a name too long) it leaves out, and writes down.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from typing import Any, BinaryIO, NoReturn

LINGER_S = 150
"""A process that is left behind and that nobody ends goes away by itself after that time."""
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE = 0x80086601, 0x40086602, 0x10

ODD = {
    "newline": b"new\nline", "tab": b"tab\there", "escape": b"\x1b]0;title\x07", "dash": b"-rf", "long": b"n" * 255,
    "latin1": b"caf\xe9", "dot": b"ends.", "GIT": b".GIT", "con": b"CON", "space": b" ", "backslash": b"a\\b",
    "quote": b'"q"', "tilde": b"~", "colon": b":(top)x", "star": b"*", "git~1": b"git~1", "unicode": "e\u0301".encode(),
    "zero-width": ".g\u200cit".encode(), "control": b"\r\x08", "crlf": b"x\r", "hash": b"#x", "bang": b"!x",
}  # fmt: skip
"""Names of files that are in nobody's examples."""


class Agent:
    """One attempt: where things are, as they were when it began."""

    def __init__(self, own: str, ledger: str) -> None:
        env = os.environ
        self.id, self.root, self.ledger = env["AGENTJOBS_TASK"], env["AGENTJOBS_ROOT"], ledger
        self.attempt = int(env["AGENTJOBS_ATTEMPT"])
        self.outside = os.path.dirname(self.root)
        self.victim = os.path.join(self.outside, "victim")
        self.tree = os.getcwd()
        trees = os.path.join(self.root, ".agentjobs", "trees")
        self.places = {
            "top": self.tree, "dotgit": f"{self.tree}/.git", "file": f"{self.tree}/src/{self.id}.txt",
            "beside": f"{trees}/.junk-{self.id}", "lock": f"{trees}/.{self.id}.lock",
            "sparse": f"{trees}/.{self.id}.sparse", "clone": f"{trees}/.{self.id}.git",
            "handoff": env.get("AGENTJOBS_HANDOFF", ""), "own": own,
            "attempt": os.path.dirname(env["AGENTJOBS_PROMPT"]),
            "attempts": os.path.join(self.root, ".agentjobs", "attempts", self.id),
            "ours": f"{self.root}/.git/worktrees/{self.id}",
        }  # fmt: skip
        self.dotgit = read(f"{self.tree}/.git")
        admin = self.dotgit.partition(b"gitdir: ")[2].strip().decode() or f"{self.tree}/.git"
        self.places["admin"] = admin
        common = read(f"{admin}/commondir").strip().decode()
        self.places["common"] = os.path.normpath(os.path.join(admin, common)) if common else admin
        self.parents: dict[bytes, str | bytes] = {}

    def path(self, place: str) -> bytes:
        """Return the path of a place: ``tree/x`` is in the tree, ``admin/HEAD`` in the administrative directory."""
        base, _, rest = place.partition("/")
        found = os.fsencode(self.places.get(base, f"{self.tree}/{base}") if base != "tree" else self.tree)
        for part in rest.split("/") if rest else ():
            found = os.path.join(found, ODD[part[1:]] if part.startswith("%") else os.fsencode(part))
        return found

    def reachable(self, path: bytes) -> bool:
        """Whether the way to a path is still the one it was: no link that an earlier leftover put there."""
        parent = os.path.dirname(path)
        return self.parents.setdefault(path, os.path.realpath(parent)) == os.path.realpath(parent) == parent

    def run(self, deed: dict[str, Any]) -> NoReturn:
        for step in deed["steps"]:
            if step[0] != "edit":
                self.reachable(self.path(step[-1]))
        for step in deed["steps"] if self.attempt == 1 or not deed["once"] else [["edit"]]:
            try:
                done = getattr(self, step[0])(*step[1:])
            except (OSError, ValueError, subprocess.SubprocessError, RecursionError) as error:
                done = f"{type(error).__name__}: {error}"
            self.write_down("step", *step, str(done or "done")[:200])
        for name in [deed["process"]] if deed["process"] != "none" else []:
            self.leave(name)
        self.write_down("did")
        if deed["end"] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        sys.exit(int(deed["end"]))

    def write_down(self, *words: str) -> None:
        line = "\t".join([self.id, str(self.attempt), *words]).replace("\n", " ") + "\n"
        with contextlib.suppress(OSError), open(self.ledger, "a", encoding="utf-8", errors="replace") as file:
            file.write(line)

    # --- what an agent is there for

    def edit(self) -> str:
        path = os.fsencode(self.places["file"])
        with contextlib.suppress(FileNotFoundError):
            info = os.lstat(path)
            if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
                return "not a plain file"
        if os.path.realpath(path) != path:
            return "not in the tree"
        with open(path, "w", encoding="ascii") as file:
            file.write("ok\n")
        return ""

    # --- actions

    def put(self, thing: str, place: str) -> str:
        """Make ``thing`` in the place of what is there."""
        path = self.path(place)
        if not self.reachable(path):
            return "not reachable"
        if thing != "immutable" or not os.path.isfile(path):
            remove(path)
        self.make(thing, path)
        return ""

    def over(self, thing: str, place: str) -> str:
        """Make ``thing`` beside and rename it over what is there."""
        path = self.path(place)
        if not self.reachable(path):
            return "not reachable"
        beside = os.path.join(os.path.dirname(path), b".beside")
        remove(beside)
        self.make(thing, beside)
        with contextlib.suppress(NotADirectoryError, IsADirectoryError, FileNotFoundError):
            os.rename(beside, path)
            return ""
        os.rename(path, path[:200] + b".aside")
        os.rename(beside, path)
        return "the old one put aside"

    def delete(self, place: str) -> str:
        if not self.reachable(path := self.path(place)):
            return "not reachable"
        os.lstat(path)
        remove(path)
        return ""

    def chmod(self, mode: str, place: str) -> str:
        path = self.path(place)
        if not self.reachable(path) or os.path.islink(path) or (os.path.isfile(path) and os.lstat(path).st_nlink > 1):
            return "not reachable"
        os.chmod(path, int(mode, 8))
        return ""

    def append(self, place: str) -> str:
        with self.plain(place, os.O_APPEND) as file:
            file.write(b"\0\xff garbage [\n" * 3)
        return ""

    def truncate(self, place: str) -> str:
        self.plain(place, os.O_TRUNC).close()
        return ""

    def plain(self, place: str, flags: int) -> BinaryIO:
        """Open a file that is there, a plain one of our own."""
        path = self.path(place)
        if not self.reachable(path) or not stat.S_ISREG(os.lstat(path).st_mode) or os.lstat(path).st_nlink > 1:
            raise OSError(errno.EINVAL, "not a plain file")
        return os.fdopen(os.open(path, os.O_WRONLY | flags | os.O_NOFOLLOW | os.O_NONBLOCK), "wb")

    def flock(self, place: str) -> str:
        """Let a process with our marker hold a lock on it."""
        path = self.path(place)
        if not self.reachable(path):
            return "not reachable"
        self.spawn(["flock", os.fsdecode(path)], start_new_session=True)
        return ""

    def git(self, name: str, script: str) -> str:
        """Run a script of git commands; not in a tree that earlier leftovers made part of another repository."""
        if os.path.realpath(self.tree) != self.tree or read(f"{self.tree}/.git") != self.dotgit:
            return "not reachable"
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        env |= {
            "GIT_CEILING_DIRECTORIES": os.path.dirname(self.tree), "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent", "ID": self.id,
            "ADMIN": self.places["admin"], "COMMON": self.places["common"],
            "GIT_AUTHOR_NAME": "agent", "GIT_AUTHOR_EMAIL": "a@localhost", "GIT_EDITOR": "true",
            "GIT_COMMITTER_NAME": "agent", "GIT_COMMITTER_EMAIL": "a@localhost", "VICTIM": self.victim,
        }  # fmt: skip
        done = subprocess.run(
            ["sh", "-ec", script], cwd=self.tree, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=20,
            check=False,
        )  # fmt: skip
        return f"exit {done.returncode} {done.stderr[-150:].decode('utf-8', 'replace')}" if done.returncode else ""

    # --- things

    def make(self, thing: str, path: bytes) -> None:
        word, _, rest = thing.partition(":")
        if word == "link":
            os.symlink(self.target(rest, path), path)
        elif word == "hard":
            os.link(f"{self.victim}/precious.txt", path, follow_symlinks=False)
        elif word == "fifo":
            os.mkfifo(path)
        elif word == "socket":
            os.chdir(os.path.dirname(path))
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(os.path.basename(path))
        elif word == "device":
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, {"null": 3, "zero": 5, "full": 7}[rest]))
        elif word == "dir":
            os.mkdir(path)
            if rest:
                getattr(self, f"fill_{rest}")(path)
        else:
            self.make_file(word, rest, path)

    def make_file(self, word: str, rest: str, path: bytes) -> None:
        exists = word == "immutable" and os.path.isfile(path)
        if not exists:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            content = {"ok": b"ok\n", "text": b"left\n", "garbage": bytes(range(256)) * 40}.get(rest or "text", b"")
            os.write(fd, content)
            if rest == "sparse":
                os.ftruncate(fd, 200 << 20)
            if word == "mode":
                os.fchmod(fd, int(rest, 8))
            os.close(fd)
        if word == "immutable":
            fd = os.open(path, os.O_RDONLY)
            flags = bytearray(8)
            fcntl.ioctl(fd, FS_IOC_GETFLAGS, flags)
            flags[0] |= FS_IMMUTABLE
            fcntl.ioctl(fd, FS_IOC_SETFLAGS, bytes(flags))
            os.close(fd)

    def target(self, word: str, path: bytes) -> str:
        return {
            "file": "README", "dir": "src", "parent": "..", "here": ".", "root": "/", "etc": "/etc/passwd",
            "nowhere": "/nowhere/at/all", "self": os.fsdecode(os.path.basename(path)), "project": self.root,
            "project-git": f"{self.root}/.git", "victim": self.victim, "victim-git": f"{self.victim}/.git",
            "victim-src": f"{self.victim}/src", "victim-file": f"{self.victim}/precious.txt",
            "other-tree": os.path.join(os.path.dirname(self.tree), "b"), "zero": "/dev/zero", "stdin": "/dev/stdin",
            "proc": "/proc/self/fd", "table": f"{self.root}/tasks.tsv",
        }[word]  # fmt: skip

    def fill_deep(self, path: bytes) -> None:
        """Make more levels than a path may have bytes."""
        os.chdir(path)
        for _ in range(600):
            os.mkdir("d" * 10)
            os.chdir("d" * 10)
        with open("bottom", "w", encoding="ascii") as file:
            file.write("x\n")
        os.chdir("/")

    def fill_deeper(self, path: bytes) -> None:
        """Make more levels than a process may have open directories."""
        os.chdir(path)
        for _ in range(1200):
            os.mkdir("d")
            os.chdir("d")
        os.chdir("/")

    def fill_wide(self, path: bytes) -> None:
        for number in range(3000):
            os.close(os.open(os.path.join(path, b"f%d" % number), os.O_CREAT | os.O_WRONLY, 0o644))

    def fill_file(self, path: bytes) -> None:
        with open(os.path.join(path, b"inner"), "w", encoding="ascii") as file:
            file.write("x\n")

    def fill_fifo(self, path: bytes) -> None:
        for name in (b".gitignore", b".gitattributes", b"HEAD", b"config"):
            os.mkfifo(os.path.join(path, name))

    def fill_closed(self, path: bytes) -> None:
        self.fill_file(path)
        os.chmod(path, 0)

    def fill_readonly(self, path: bytes) -> None:
        self.fill_file(path)
        os.chmod(path, 0o555)

    def fill_odd(self, path: bytes) -> None:
        for name in ODD.values():
            with contextlib.suppress(OSError):
                os.close(os.open(os.path.join(path, name), os.O_CREAT | os.O_WRONLY, 0o644))

    # --- processes

    def leave(self, kind: str) -> None:
        words = kind.split("-")
        self.spawn(
            ["write" if "write" in words else "sleep", self.places["file"]],
            env={} if "bare" in words else None,
            cwd=self.tree if "cwd" in words else "/",
            start_new_session="session" in words,
        )

    def spawn(self, argv: list[str], **options: Any) -> None:
        with contextlib.suppress(OSError):  # the tree may be gone
            started = subprocess.Popen(
                [sys.executable, "-IS", os.path.abspath(__file__), "linger", self.outside, *argv],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **options,
            )  # fmt: skip
            if started.stdout:
                started.stdout.readline()


def linger(what: str, path: str) -> int | None:
    """Be a process that its agent has left behind."""
    deadline = time.monotonic() + LINGER_S
    held = None
    if what == "flock":
        with contextlib.suppress(OSError):
            held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600)
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print(flush=True)
    number = 0
    while time.monotonic() < deadline:
        time.sleep(0.03 if what == "write" else 1)
        if what == "write":
            number += 1
            with contextlib.suppress(OSError):
                if os.path.realpath(path) == path and stat.S_ISREG(os.lstat(path).st_mode):
                    with open(path, "w", encoding="ascii") as file:
                        file.write("ok\n" if number % 2 else "bad\n")
    return held


def read(path: str) -> bytes:
    """Return a plain file's content, empty where there is none."""
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            with open(path, "rb") as file:
                return file.read()
    except OSError:
        pass
    return b""


def remove(path: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path)
        else:
            os.unlink(path)


if __name__ == "__main__":
    if sys.argv[1] == "linger":
        linger(*sys.argv[3:])
    else:
        sys.stdin.read()
        agent = Agent(*sys.argv[1:])
        agent.write_down("start", os.environ["AGENTJOBS_MODE"])
        agent.run(json.loads(os.environ["AGENTJOBS_ROW_DEED"]))
