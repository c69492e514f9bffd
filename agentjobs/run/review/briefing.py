"""What a reviewer receives: the task, its checks and the change; never the author's comments."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from agentjobs.core.review_findings import answered
from agentjobs.core.reviews import due, runs
from agentjobs.disk.write import printable
from agentjobs.model.errors import UserError
from agentjobs.model.facts import Mode
from agentjobs.model.reviews import ReviewPlan
from agentjobs.policy.agents import expand, flags_of
from agentjobs.policy.policy import window_of, wishes_of
from agentjobs.policy.severities import SEVERITIES
from agentjobs.project.project import POLICY
from agentjobs.project.store import own_dir
from agentjobs.prompts import briefing
from agentjobs.prompts.handoffs import handoffs
from agentjobs.prompts.template import render, variables
from agentjobs.text.path_patterns import normalise
from agentjobs.tokens.count import count, upper_bound

if TYPE_CHECKING:
    from pathlib import Path

    from agentjobs.model.facts import Attempt, Intent
    from agentjobs.model.tasks import Task
    from agentjobs.policy.policy import Profile
    from agentjobs.project.project import Project

VERDICT = "verdict.json"
"""The file that a reviewer writes, in the directory of its step."""

DIFF_SHARE = 0.5
"""The part of the prompt's limit that the change may use."""


def reviewer_of(project: Project, name: str) -> Profile:
    """Return the profile of a reviewer. UserError if it was removed since the attempt started."""
    found = project.policy.profiles.get(name)
    if found is None:
        raise UserError(f"the reviewer {name!r} is no longer configured; restore [profiles.{name}]", file=POLICY)
    return found


def planned(project: Project, attempt: Attempt, name: str, commit: str, parent: str, now: float) -> ReviewPlan:
    """Return which reviewer the step ``name`` asks, and how it is started."""
    reviewer = due(attempt)
    profile = reviewer_of(project, reviewer)
    agent = project.policy.agents[profile.agent]
    session = "" if agent.chooses_session else str(uuid.uuid4())
    attempt_dir = project.store.attempt_dir(attempt.intent.id, attempt.number)
    try:
        flags = flags_of(agent, wishes_of(profile))
    except KeyError as error:
        raise UserError(f"agent {profile.agent} has no flag for {error}", file=POLICY) from None
    values = {**briefing.values(project, attempt.intent, attempt_dir, name), "session": session}
    argv = expand(agent.command, values, flags)
    return ReviewPlan(reviewer, profile.agent, commit, parent, tuple(argv), session, now, profile.model or "")


def environment(
    project: Project, task: Task, intent: Intent, attempt_dir: Path, name: str, plan: ReviewPlan
) -> dict[str, str]:
    """Return the environment of a review; ``intent`` is the reviewer's (``reviews.as_attempt``)."""
    env = briefing.environment(project, task.row, intent, attempt_dir, name)
    del env["AGENTJOBS_HANDOFF"]
    return env | {
        "AGENTJOBS_MODE": Mode.REVIEW.value,
        "AGENTJOBS_PROMPT": str(attempt_dir / f"{name}.prompt.md"),
        "AGENTJOBS_VERDICT": str(own_dir(attempt_dir, name) / VERDICT),
        "AGENTJOBS_BASE_COMMIT": plan.parent,
        "AGENTJOBS_COMMIT": plan.commit,
    }


def prompt(project: Project, task: Task, attempt: Attempt, name: str, plan: ReviewPlan) -> str:
    """Return the prompt of a reviewer. UserError if its template is missing or wrong."""
    profile = reviewer_of(project, plan.reviewer)
    attempt_dir = project.store.attempt_dir(attempt.intent.id, attempt.number)
    limit = int(profile.fit * DIFF_SHARE * window_of(project.policy, profile))
    diff, left_out = change(project, plan.parent, plan.commit, limit)
    before = [other for other in task.attempts if other.number < attempt.number]
    context = variables(
        task.row, verify=attempt.intent.checks, mode=Mode.REVIEW, attempt=attempt.number, base=plan.parent,
        handoffs=handoffs(project, task.row),
    ) | {
        "diff": diff,
        "left_out": left_out,
        "commit": plan.commit,
        "verdict": str(own_dir(attempt_dir, name) / VERDICT),
        "answered": answered(before, blobs(project, plan.commit, _named(before))),
    }  # fmt: skip
    text = render(briefing.template(project, profile), profile.prompt, context).rstrip("\n")
    closing = _closing(context, briefing.names(project, profile), _wrong(attempt, name, plan))
    return "\n".join([text, *closing]) + "\n"


def _wrong(attempt: Attempt, name: str, plan: ReviewPlan) -> str:
    """Return what was wrong with the verdict of this reviewer's last run."""
    mine = [s for s in runs(attempt) if s.name != name and s.review and s.review.reviewer == plan.reviewer]
    last = mine[-1].verdict if mine else None
    return last.detail if last is not None and not last.valid else ""


def _named(before: list[Attempt]) -> set[str]:
    return {f.file for attempt in before for step in runs(attempt) if step.verdict for f in step.verdict.findings}


def _closing(context: dict[str, Any], used: frozenset[str], wrong: str) -> list[str]:
    """Return what every reviewer must know, as far as its template does not contain it."""
    lines: list[str] = []
    if context["left_out"] and "left_out" not in used and "diff" in used:
        lines += ["", "Too large for this prompt; read them in the tree: " + ", ".join(context["left_out"])]
    if context["answered"] and "answered" not in used:
        lines += ["", "## Found before", "", "Report one of these again only if it is still true:", ""]
        for one in context["answered"]:
            place = f"{one['file']}:{one['line']}" if one["line"] else one["file"]
            what = " ".join((one["title"] or one["trigger"]).split())
            lines.append(f"- {place} ({one['severity']}, {one['reviewer']}): {what} — {one['answer']}")
    if "verdict" not in used:
        lines += ["", *verdict_words(context["verdict"])]
    if wrong:
        lines += ["", "## Your last verdict was not valid", "", wrong, "", "Write the whole file again."]
    return lines


def verdict_words(path: str) -> list[str]:
    """Return how to write a verdict, as text for a prompt."""
    example = {
        "findings": [
            {
                "file": "src/a.py", "line": 12, "severity": "high", "title": "one line",
                "trigger": "what makes it happen", "impact": "what happens then",
            }
        ],
        "summary": "one or two sentences",
    }  # fmt: skip
    return [
        "## Your verdict",
        "",
        "Do not change files of the tree: your changes are discarded. Write your verdict as JSON to the file",
        f"{path} (its path is in AGENTJOBS_VERDICT as well):",
        "",
        "```json",
        *json.dumps(example, indent=2).splitlines(),
        "```",
        "",
        f"`severity` is one of {', '.join(SEVERITIES)}; `line` is 0 for a whole file; `findings` is empty if there",
        "is nothing to say. Each finding must be true of these files as they are now. Check the file with:",
        "",
        '    "$AGENTJOBS_PYTHON" -P -m agentjobs validate verdict "$AGENTJOBS_VERDICT"',
    ]


def change(project: Project, parent: str, commit: str, limit: int) -> tuple[str, list[str]]:
    """Return a commit's change as text of at most ``limit`` tokens, and the files that were left out as a whole."""
    git, parts, left_out, room = project.git, [], [], limit
    flags = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
    for path in git.changed(parent, commit):
        # Literally: a path may look like a pattern.
        name = path.encode("utf-8", "surrogateescape")
        done = git.run("--literal-pathspecs", "diff", *flags, parent, commit, "--", name)
        text = done.stdout.decode("utf-8", "replace")
        size = upper_bound(text)
        if size > room and len(text) < 16 * limit:
            size = count(text)
        if size > room:
            left_out.append(printable(path))
            continue
        parts.append(text)
        room -= size
    return "".join(parts), left_out


def blobs(project: Project, commit: str, paths: set[str]) -> dict[str, str]:
    """Return the blob id of each of these files at a commit; missing files are left out."""
    if not paths:
        return {}
    names = [normalise(path).encode("utf-8", "surrogateescape") for path in sorted(paths)]
    listed = project.git.run("--literal-pathspecs", "ls-tree", "-r", "-z", commit, "--", *names).stdout
    found = {}
    for line in listed.split(b"\0")[:-1]:
        head, _, name = line.partition(b"\t")
        found[name.decode("utf-8", "surrogateescape")] = head.split(b" ")[2].decode()
    return found
