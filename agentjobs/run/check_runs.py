"""One run of the checks of an attempt: its plan, what it saw, which check failed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agentjobs.disk.files import read_json, read_raw, write_bytes
from agentjobs.disk.logs import read_tail
from agentjobs.disk.write import printable
from agentjobs.model.errors import UserError
from agentjobs.model.steps import Exited, KillReason, Prepare, Seen, StepKind
from agentjobs.project.store import step_files
from agentjobs.text.excerpt import clean_lines, error_excerpt

if TYPE_CHECKING:
    from agentjobs.model.facts import Attempt
    from agentjobs.model.steps import Step
    from agentjobs.project.project import Project
    from agentjobs.project.store import Store


NOTE = "agentjobs-note:"
"""A check begins a line with this to put the rest of the line into the task's note."""


class Failed(NamedTuple):
    """A check that failed."""

    command: str
    number: int
    """Its position among the checks of the attempt, from 1."""
    ended: str
    said: bytes
    """The end of its output."""

    @property
    def shown(self) -> str:
        """The command, how it ended and what matters of its output, for the next agent."""
        head = f"$ {self.command}\n{self.ended}, and said {'this:' if self.said.strip() else 'nothing'}"
        return f"{head}\n{error_excerpt(self.said)}".rstrip()


def write_plan(store: Store, attempt: Attempt, name: str, plan: Prepare) -> None:
    """Write which checks a run has to execute, and on which commit."""
    attempt_dir = store.attempt_dir(attempt.intent.id, attempt.number)
    for number, check in enumerate(plan.checks, 1):
        write_bytes(attempt_dir / f"{name}.{number}.check", check.encode("utf-8", "surrogateescape") + b"\n")
    store.write_fact(attempt.intent.id, attempt.number, f"{name}.plan.json", plan)


def write_rest(store: Store, attempt: Attempt, name: str, now: float) -> bool:
    """Write the plan of a check that has to run alone, after the others passed on files that they had changed.

    Returns False if there is none.
    """
    check = attempt.last(StepKind(name.partition("-")[0]))
    before = _plan(store, attempt, check) if check else None
    if check is None or before is None or not isinstance(check.state, Exited) or check.state.code != 0:
        return False
    rest = before.rest or (before.checks[1:] if check.seen is not None and check.seen.changed else ())
    if rest:
        write_plan(store, attempt, name, Prepare(before.commit, before.parent, rest[:1], now, rest=rest[1:]))
    return bool(rest)


def look(project: Project, attempt: Attempt, name: str) -> None:
    """Write down which tracked files the checks of a step changed, compared with the commit that they checked."""
    from agentjobs.workspace.snapshot import differing  # only needed after several checks

    try:
        changed = differing(project.git, Path(attempt.intent.tree))
    except (UserError, OSError) as error:  # they broke the tree, so what they saw is not known
        changed = (str(error),)
    seen = Seen(tuple(map(printable, changed)))
    project.store.write_fact(attempt.intent.id, attempt.number, f"{name}.seen.json", seen)


def failed_check(project: Project, attempt: Attempt, check: Step) -> Failed:
    """Return the check that failed in a run of the checks."""
    attempt_dir = project.store.attempt_dir(attempt.intent.id, attempt.number)
    plan = _plan(project.store, attempt, check)
    at = read_raw(attempt_dir / f"{check.name}.at").strip()
    number = int(at[:9]) if at.isdigit() else 1  # a check may have written to it
    checks = plan.checks if plan else attempt.intent.checks
    command = checks[number - 1] if 0 < number <= len(checks) else ""
    output, _ = read_tail(step_files(attempt_dir, check.name).log, project.masking)
    output = output.rpartition(b"==> check %d: " % number)[2]
    said = output.removeprefix(command.encode("utf-8", "surrogateescape")).lstrip(b"\n")
    if command in attempt.intent.checks:  # it may have run alone
        number = attempt.intent.checks.index(command) + 1
    return Failed(command, number, ended(check), said)


def notes(project: Project, attempt: Attempt) -> str:
    """Return what the checks of verified work want people to read in the table."""
    attempt_dir, found = project.store.attempt_dir(attempt.intent.id, attempt.number), dict[str, None]()
    for check in attempt.runs(StepKind.VERIFY):
        output, _ = read_tail(step_files(attempt_dir, check.name).log, project.masking)
        lines = (line for line in clean_lines(output) if line.startswith(NOTE))
        found.update((printable(line.removeprefix(NOTE).strip()), None) for line in lines)
    return "; ".join(found)


def ended(step: Step) -> str:
    """Describe how a step that did not succeed ended."""
    if step.kill is not None:
        words = {KillReason.TIMEOUT: "ran out of time", KillReason.RUNAWAY: "wrote too much"}
        return words.get(step.kill.why, step.kill.why.value)
    if isinstance(step.state, Exited):
        return f"failed (exit {step.state.code})"
    return "was lost"


def _plan(store: Store, attempt: Attempt, check: Step) -> Prepare | None:
    return read_json(store.attempt_dir(attempt.intent.id, attempt.number) / f"{check.name}.plan.json", Prepare)
