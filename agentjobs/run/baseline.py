"""The baseline: whether a profile's checks pass on the base, before any work.

Each check runs once, as a step like any other, in a worktree made for it. The result is kept for the same base
commit, checks and workspace settings.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from agentjobs.disk.files import read_json, read_raw, write_json
from agentjobs.disk.logs import read_tail
from agentjobs.launch import launcher
from agentjobs.model.errors import UserError
from agentjobs.model.facts import Intent, Mode
from agentjobs.model.steps import Exited, Lost
from agentjobs.model.tasks import SETTLED, Row, Status
from agentjobs.policy.policy import checks_of
from agentjobs.project.project import POLICY
from agentjobs.project.store import step_files
from agentjobs.prompts import briefing
from agentjobs.run.steps import start as steps
from agentjobs.text.excerpt import error_excerpt
from agentjobs.text.toml import line_of
from agentjobs.workspace import worktree
from agentjobs.workspace.lock import flock
from agentjobs.workspace.target_branch import base_commit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from agentjobs.policy.policy import Profile
    from agentjobs.project.project import Project

GATE = "landing.gate"

BASELINE_WAIT_S = 120.0
"""Seconds to wait for another dispatch that runs the checks on the base."""

SAMPLE = 3
"""Most rows of a profile that are tried, and most of those with a check of their own."""

_OF_THE_ROW = re.compile(r"AGENTJOBS_(?:TASK|FILES|ROW_)")


class CheckRun(Struct, frozen=True):
    """The result of one check on the base."""

    command: str
    green: bool
    ended: str
    """Such as ``exit 1``, for people."""
    excerpt: str = ""
    """Its errors, if it failed."""
    flaky: bool = False
    """True if it failed and then passed on the same commit."""


class Baseline(Struct, frozen=True):
    """The results of a profile's checks on the base."""

    profile: str
    commit: str
    """The base; empty if tasks have no trees."""
    at: float
    checks: tuple[CheckRun, ...]

    @property
    def green(self) -> bool:
        """Return whether every check passed."""
        return all(check.green for check in self.checks)


def require_green(project: Project, ids: tuple[str, ...], *, force: bool, phases: tuple[str, ...] = ()) -> None:
    """Raise UserError if a profile with ``baseline = "green"`` is used and its checks fail on the base.

    ``ids``: the rows in question (none: all that are not settled); ``phases``: profiles that may have rows later;
    ``force``: continue whatever the checks return.
    """
    if force:
        return
    names = dict.fromkeys((*profiles_in_use(project, ids), *phases))
    for name in names:
        profile = project.policy.profiles.get(name)
        if profile is None or profile.baseline != "green":
            continue
        found = measure(project, name, profile)
        for check in found.checks:
            if not check.green:
                raise UserError(
                    f"the checks of profile {name} fail on the base, before any work: `{check.command}` "
                    f"{check.ended}; see `agentjobs check --baseline`; fix it on {project.policy.base}, or use --force"
                )


def profiles_in_use(project: Project, ids: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the profiles of the rows (of ``ids``, or of all that are not settled), in order of first use."""
    table = project.file.table
    chosen = frozenset(ids)
    found: dict[str, None] = {}
    statuses = table.statuses()
    for task_id, name in table.profiles():
        if task_id in chosen if chosen else statuses[task_id] not in SETTLED:
            found[name] = None
    return tuple(found)


def measure_gate(project: Project) -> Baseline:
    """Run ``landing.gate`` on the tip of the target, or return the stored result for the same commit and commands.

    A command that fails runs a second time, to see whether it is flaky. UserError as in ``measure``.
    """
    profile = replace(next(iter(project.policy.profiles.values())), verify=project.policy.landing.gate)
    return measure(project, GATE, profile, project.tip(), attempts=2)


def measure(
    project: Project, name: str, profile: Profile, commit: str | None = None, *, attempts: int = 1
) -> Baseline:
    """Run a profile's checks on the base (or ``commit``), or return the stored result for the same commit and checks.

    ``attempts``: how often a check that fails is run. UserError if there is no base, the tree cannot be made or the
    setup command fails.
    """
    project.store.create()
    commit = _base(project) if commit is None else commit
    key = _key(project, profile, commit)
    directory = project.store.dir / "baseline"
    directory.mkdir(mode=0o700, exist_ok=True)
    kept = directory / f"{key}.json"
    with flock(directory / "lock", BASELINE_WAIT_S):
        known = read_json(kept, Baseline) if commit else None
        if known is not None:
            return known
        found = Baseline(name, commit, time.time(), _run(project, profile, commit, directory, attempts))
        write_json(kept, found)
        return found


def _base(project: Project) -> str:
    return base_commit(project.git, project.policy.base) if project.uses_trees else ""


def _key(project: Project, profile: Profile, commit: str) -> str:
    settings = project.policy.workspace
    return _digest(commit, *profile.verify, settings.setup or "", *settings.copy, *settings.link)


def _digest(*parts: str) -> str:
    return blake2b("\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def green_before(project: Project) -> Iterator[Row]:
    """Yield open rows whose checks all pass on the base, with the row's own variables: they prove no work.

    Tries the first few rows of each profile, and the first few with their own check. Skips a profile whose checks use
    nothing of the row (a test suite): these should be green before and after.
    """
    rows = _samples(project)
    if not rows:
        return
    project.store.create()
    commit, directory = _base(project), project.store.dir / "baseline"
    directory.mkdir(mode=0o700, exist_ok=True)
    with flock(directory / "lock", BASELINE_WAIT_S), _tree(project, rows[0][1], commit, directory) as tree:
        for row, profile in rows:
            if commit:  # without the files that the previous row's checks left
                worktree.reset(project.git, tree, commit)
            steps = _Steps(project, profile, commit, tree, directory, row)
            try:
                if all(check.green for check in steps.all(checks_of(profile))):
                    yield row
            finally:
                steps.sweep()


def _samples(project: Project) -> list[tuple[Row, Profile]]:
    """Return the rows to try, with their profiles."""
    table = project.file.table
    statuses, seen = table.statuses(), Counter[tuple[str, bool]]()
    found = []
    for task_id, verify in table.cells("verify"):
        group = (table.profile(task_id), bool(verify))
        if statuses[task_id] in SETTLED or seen[group] >= SAMPLE:
            continue
        row = table.row(task_id)
        profile = project.profile(row)
        if profile.require_change and (verify or any(map(_OF_THE_ROW.search, checks_of(profile)))):
            seen[group] += 1
            found.append((row, profile))
    return found


@contextlib.contextmanager
def _tree(project: Project, profile: Profile, commit: str, directory: Path) -> Iterator[Path]:
    """Make a tree of the base, as tasks have it; without trees it is the project's directory."""
    settings = project.policy.workspace
    tree = directory / "tree" if commit else project.root
    if commit:
        worktree.create(project.git, tree, commit)
        worktree.reset(project.git, tree, commit)
        if settings.copy or settings.link:
            worktree.setup_files(project.git, project.root, tree, copy=settings.copy, link=settings.link)
    try:
        if commit and settings.setup:
            steps = _Steps(project, profile, commit, tree, directory)
            try:
                setup = steps.run(settings.setup, "setup", project.policy.limits.setup_s)
            finally:
                steps.sweep()
            if not setup.green:
                said = " ".join(setup.excerpt.split())[-200:]
                raise UserError(f"workspace.setup {setup.ended} on the base: {said}", file="agentjobs.toml")
        yield tree
    finally:
        if commit:
            with contextlib.suppress(UserError):
                worktree.remove(project.git, tree, force=True)


def _run(
    project: Project, profile: Profile, commit: str, directory: Path, attempts: int
) -> tuple[CheckRun, ...]:
    with _tree(project, profile, commit, directory) as tree:
        steps = _Steps(project, profile, commit, tree, directory)
        try:
            return tuple(_again(steps, run, attempts) for run in steps.all(profile.verify))
        finally:
            steps.sweep()


def _again(steps: _Steps, run: CheckRun, attempts: int) -> CheckRun:
    """Return the result of a check, which runs again if it failed."""
    if run.green or attempts == 1:
        return run
    again = steps.run(run.command, steps.names[-1], steps.project.policy.limits.verify_s)
    return replace(run, flaky=True, ended=f"{run.ended}, and passed when it ran again") if again.green else run


class _Steps:
    """Runs commands one after the other, in the environment of a task's checks."""

    def __init__(
        self, project: Project, profile: Profile, commit: str, tree: Path, directory: Path, row: Row | None = None
    ) -> None:
        self.project = project
        self.directory = directory / "steps"
        self.directory.mkdir(mode=0o700, exist_ok=True)
        self.tree = tree
        self.row = row or Row("baseline", 0, Status.TODO, cells={"id": "baseline"})
        self.intent = Intent(
            id=self.row.id,
            number=0,
            round=0,
            mode=Mode.FIRST,
            profile=self.row.profile,
            agent=profile.agent,
            started_at=time.time(),
            why="baseline",
            base=commit,
            tree=str(tree),
            marker=f"{_digest(str(directory))}.+baseline.0",  # the same each time, so that a later one kills leftovers
        )
        self.names: list[str] = []
        self.sweep()

    def all(self, checks: Sequence[str]) -> Iterator[CheckRun]:
        """Run the checks in order, each when its result is needed."""
        for number, check in enumerate(checks, 1):
            yield self.run(check, f"verify-{number}", self.project.policy.limits.verify_s)

    def run(self, command: str, name: str, limit_s: float) -> CheckRun:
        files = step_files(self.directory, name)
        for old in (files.record, files.exit, files.kill, files.log):
            old.unlink(missing_ok=True)
        self.names.append(name)
        env = briefing.environment(self.project, self.row, self.intent, self.directory, name)
        pid = steps.start(self.project, self.intent, self.directory, name, ("/bin/sh", "-c", command), env=env)
        give_up_at = time.monotonic() + limit_s
        phase = launcher.state_of(files)
        while not isinstance(phase, Exited | Lost):
            left_s = give_up_at - time.monotonic()
            if left_s <= 0:
                launcher.hard_kill(files, self.intent.marker)
                return CheckRun(command, green=False, ended="ran out of time", excerpt=self._said(name))
            launcher.wait_any([(pid or 0, files)], min(left_s, 1.0))
            phase = launcher.state_of(files)
        if isinstance(phase, Lost):
            return CheckRun(command, green=False, ended="was killed", excerpt=self._said(name))
        if phase.code == 0:
            return CheckRun(command, green=True, ended="exit 0")
        return CheckRun(command, green=False, ended=f"failed (exit {phase.code})", excerpt=self._said(name))

    def _said(self, name: str) -> str:
        return error_excerpt(read_tail(step_files(self.directory, name).log, self.project.masking)[0])

    def sweep(self) -> None:
        """Kill everything that these checks, or those of an earlier interrupted run, left."""
        launcher.kill_leftovers([self.intent.marker], [step_files(self.directory, name) for name in self.names])


def require_known_cost(project: Project) -> None:
    """Raise UserError if there is a budget of money, but the cost of an agent that is used would not be known."""
    policy = project.policy
    if not policy.limits.money:
        return
    from agentjobs.core.budget import beyond

    found = beyond(policy, (*profiles_in_use(project), *policy.phases))
    if found is not None:
        data = read_raw(project.root / POLICY, follow=True)
        raise UserError(found[1], file=POLICY, line=line_of(data, ("limits", policy.limits.money)))
