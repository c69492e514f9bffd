"""How a played case is held to its expected end, and to what must hold at the end of every case."""

from __future__ import annotations

import re
import shlex
import time
from typing import TYPE_CHECKING

from .scene import TARGET

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .scene import Scene

SETTLED = frozenset({"DONE", "FAILED", "SKIPPED"})
ENDS_S = 3.0
"""How long a process may take to go away after its end."""
KNOWN_EXITS = frozenset({0, 1, 2, 3, 64})


def complaints(scene: Scene) -> list[str]:
    """Return everything that is not as it must be."""
    expect = scene.case.expect
    found = []
    for name, check in CHECKS.items():
        wanted = getattr(expect, name)
        if wanted is not None:
            found += [f"{name}: {text}" for text in check(scene, wanted)]
    for invariant in INVARIANTS:
        found += [f"{invariant.__name__.strip('_')}: {text}" for text in invariant(scene)]
    return found


# --- what a case says


def _exit(scene: Scene, wanted: int) -> list[str]:
    code = scene.ran[-1][1].code
    return [] if code == wanted else [f"the last command exits {code}, not {wanted}"]


def _status(scene: Scene, wanted: dict[str, str | list[str]]) -> list[str]:
    found = scene.statuses()
    allowed = {name: [one] if isinstance(one, str) else one for name, one in wanted.items()}
    wrong = [
        f"{name} is {found.get(name)}, not {' or '.join(ok)}"
        for name, ok in allowed.items()
        if found.get(name) not in ok
    ]
    return wrong + [f"{name} is a row that the case does not name" for name in found.keys() - allowed.keys()]


def _note(scene: Scene, wanted: dict[str, str]) -> list[str]:
    notes = {name: row.get("note", "") for name, row in scene.rows().items()}
    return [
        f"{name}: {notes.get(name)!r} has no {pattern!r}"
        for name, pattern in wanted.items()
        if not re.search(pattern, notes.get(name, ""))
    ]


def _landed(scene: Scene, wanted: dict[str, str]) -> list[str]:
    found = {path: scene.git("show", f"{TARGET}:{path}") for path in wanted}
    return [f"{path}: {found[path]!r}, not {text!r}" for path, text in wanted.items() if found[path] != text.strip()]


def _changed(scene: Scene, wanted: list[str]) -> list[str]:
    found = scene.git("diff", "-z", "--no-renames", "--name-only", scene.base, TARGET).strip("\0").split("\0")
    return [] if sorted(filter(None, found)) == sorted(wanted) else [f"{sorted(found)}, not {sorted(wanted)}"]


def _says(scene: Scene, wanted: list[str]) -> list[str]:
    said = scene.said()
    return [f"nothing printed matches {pattern!r}" for pattern in wanted if not re.search(pattern, said, re.MULTILINE)]


def _never_says(scene: Scene, wanted: list[str]) -> list[str]:
    said = scene.said()
    return [f"{found[0]!r} was printed" for pattern in wanted if (found := re.search(pattern, said, re.MULTILINE))]


def _starts(scene: Scene, wanted: dict[str, int]) -> list[str]:
    """Most agent starts of each task; ``*``: of every other one."""
    found = scene.starts()
    never = [name for name, most in wanted.items() if most and name != "*" and name not in found]
    most = {name: wanted.get(name, wanted.get("*", count)) for name, count in found.items()}
    over = [f"{name}: {count}, at most {most[name]}" for name, count in found.items() if count > most[name]]
    return [f"{name} was never started" for name in never] + over


def _holds(scene: Scene, wanted: list[str]) -> list[str]:
    done = [(script, scene.bash(script)) for script in wanted]
    return [f"exit {end.code}: {script}\n{end.stdout[-1500:]}" for script, end in done if end.code]


CHECKS: dict[str, Callable[[Scene, Any], list[str]]] = {
    "exit": _exit,
    "status": _status,
    "note": _note,
    "landed": _landed,
    "changed": _changed,
    "says": _says,
    "never_says": _never_says,
    "starts": _starts,
    "holds": _holds,
}
"""One function for each key of ``Expect``."""


# --- what holds at the end of every case


def _commands_end_as_documented(scene: Scene) -> list[str]:
    ends = [(name, done) for name, done in scene.ran if done.code not in KNOWN_EXITS]
    wrong = [f"{name} exits {done.code}: {done.stderr[-500:]}" for name, done in ends]
    crashed = sorted(path.name for path in (scene.root / ".agentjobs").glob("crash-*"))
    traced = [name for name, done in scene.ran if "Traceback (most recent call last)" in done.stderr]
    return wrong + [f"there is a {name}" for name in crashed] + [f"{name} prints a traceback" for name in traced]


def _the_repository_stays(scene: Scene) -> list[str]:
    """``.git`` is the directory it was, whole, and the person's branch where it was."""
    if not scene.base:
        return []
    if scene.git_is_directory and not (scene.root / ".git").is_dir():
        return [".git of the project is not a directory any more"]
    if scene.git("rev-parse", "main") != scene.base:
        return ["main has moved"]
    # Not fsck: it also minds what an agent wrote into the administrative directory of its own tree.
    broken = scene.bash("git rev-list --objects --quiet --single-worktree --all", env=scene.plain)
    return [f"git misses objects: {broken.stdout[-500:]}"] if broken.code else []


def _nothing_left_means_settled(scene: Scene) -> list[str]:
    """Where poll says "nothing left", no row is open but those that wait for one that is not DONE."""
    if not scene.polls or scene.ran[-1][1].code != 2:
        return []
    found = scene.statuses()
    after = {name: row.get("after", "").split() for name, row in scene.rows().items()}
    waiting = {name for name, before in after.items() if any(found.get(other) != "DONE" for other in before)}
    return [f"{name} is {status}" for name, status in found.items() if status not in SETTLED and name not in waiting]


def _done_means_landed(scene: Scene) -> list[str]:
    """Each commit of a DONE row is on the target, and its checks pass on a fresh checkout of it."""
    if scene.settings["landing"].get("enabled") is False or not scene.base:
        return []
    if scene.settings.get("workspace", {}).get("kind") == "none":
        return []
    wrong = []
    for name, row in scene.rows().items():
        if row.get("status") != "DONE" or "by hand" in row.get("note", ""):
            continue
        commit = row.get("commit", "")
        if not commit:
            if scene.settings["profiles"]["default"].get("require_change", True):
                wrong.append(f"{name} is DONE and has no commit")
            continue
        if scene.bash(f"git merge-base --is-ancestor {commit} {TARGET}").code:
            wrong.append(f"{name} is DONE, and {commit} is not on {TARGET}")
        elif scene.case.replay and (failed := _replayed(scene, name, row)):
            wrong.append(f"{name} is DONE, and on a fresh checkout of {commit} a check fails: {failed}")
    return wrong


def _replayed(scene: Scene, name: str, row: dict[str, str]) -> str:
    """Run setup and the checks of a task on a fresh clone of its commit, with what a tree gets; return what fails."""
    profile, workspace = scene.settings["profiles"]["default"], scene.settings.get("workspace", {})
    root, clone = shlex.quote(str(scene.root)), shlex.quote(str(scene.world / "replay" / name))
    brought = [*workspace.get("copy", []), *workspace.get("link", [])]
    lines = [f"git clone -qns {root} {clone}", f"cd {clone}", f"git checkout -q {row['commit']}"]
    lines += [f"mkdir -p $(dirname {path}); cp -a {root}/{path} {path}" for path in brought]
    lines += [f"({command})" for command in [workspace.get("setup")] if command]
    # A check that edits tracked files must not help the next one.
    lines += [f"({command})\ngit reset -q --hard" for command in (*profile["verify"], row.get("verify")) if command]
    files = "\n".join(row.get("files", "").split())
    given = {"AGENTJOBS_TASK": name, "AGENTJOBS_FILES": files, "AGENTJOBS_ROOT": str(scene.root)}
    done = scene.bash("\n".join(lines), env=scene.plain | given)
    return done.stdout[-500:] or f"exit {done.code}" if done.code else ""


def _nothing_runs_on(scene: Scene) -> list[str]:
    """Where nothing is left to do, no process of an agent or a check is left either."""
    if not scene.polls or scene.ran[-1][1].code != 2:
        return []
    deadline = time.monotonic() + ENDS_S
    while (left := scene.strangers()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [f"{pid}: {line}" for pid, line in left.items()]


INVARIANTS: tuple[Callable[[Scene], list[str]], ...] = (
    _commands_end_as_documented,
    _the_repository_stays,
    _nothing_left_means_settled,
    _done_means_landed,
    _nothing_runs_on,
)
