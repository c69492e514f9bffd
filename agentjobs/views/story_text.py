"""``show`` as text. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentjobs.model.columns import TOOL_COLUMNS
from agentjobs.policy.limits import dollars
from agentjobs.text.for_people import clock, columns, duration, indented, many, one_line, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentjobs.model.spending import Spending
    from agentjobs.views.story import AttemptTold, ReviewTold, StepTold, Story

ERRORS_MAX = 12
"""Lines of an error that are shown; the log has all of them."""
FINDINGS_MAX = 10
SHORT = 12


def story_lines(story: Story, now: float) -> Iterator[str]:
    """Yield what ``show`` prints."""
    where = f"  (tasks.tsv:{story.line})" if story.line else ""
    yield f"{story.id}  {story.status}{where}" + (f", wanted by hand: {story.wish}" if story.wish else "")
    told = {"id", *TOOL_COLUMNS} - {"note"}
    cells = [(f"{name}:", one_line(value)) for name, value in story.row.items() if value and name not in told]
    yield from columns(cells, "  ")
    left = [("tree:", story.tree)] if story.tree else []
    left += [("diff:", f"agentjobs diff {story.id}")] if story.attempts and story.attempts[-1].base else []
    left += [("kept:", f"{ref}  (earlier content of the tree: git show {ref})") for ref in story.kept]
    yield from columns(left, "  ")
    rounds = {settled.round: settled for settled in story.rounds}
    if not story.attempts:
        yield "no attempt yet"
    for at, attempt in enumerate(story.attempts):
        yield ""
        yield from _attempt_lines(attempt, now)
        last = at + 1 == len(story.attempts) or story.attempts[at + 1].round != attempt.round
        settled = rounds.pop(attempt.round, None) if last else None
        if settled is not None:
            note = f": {settled.note}" if settled.note else ""
            yield f"round {settled.round} settled {clock(settled.at)}: {settled.status.value}{note}"
    for settled in rounds.values():
        yield f"round {settled.round} settled {clock(settled.at)}: {settled.status.value}: {settled.note}"


def _attempt_lines(attempt: AttemptTold, now: float) -> Iterator[str]:
    took = duration((attempt.ended_at or now) - attempt.started_at)
    yield f"attempt {attempt.number}  {attempt.mode}  {clock(attempt.started_at)}, {took}"
    session = f"session {attempt.session}" if attempt.session else "session not known yet"
    conversation = f"{session}{'' if attempt.fresh else ' (resumed)'}"
    rows = [("why", attempt.why), ("agent", f"{attempt.agent} (profile {attempt.profile}), {conversation}")]
    told = {review.step: review for review in attempt.reviews}
    for step in attempt.steps:
        rows.append((step.name, _step_text(step, now)))
        if step.name in told:
            rows += _review_rows(told[step.name])
    if attempt.outcome:
        ended = f"{attempt.outcome}: {attempt.detail}" if attempt.detail else attempt.outcome
        rows.append(("ended", one_line(ended, 300)))
    else:
        rows.append(("ended", "not yet"))
    rows += _work_rows(attempt)
    rows.append(("files", f"{attempt.directory}/"))
    yield from columns(rows, "  ")
    lines = [line for line in attempt.errors.splitlines() if line.strip()]
    if one_line(attempt.errors) == one_line(attempt.detail):
        lines = []
    shown = len(lines) if len(lines) == ERRORS_MAX + 1 else ERRORS_MAX
    yield from (f"  | {indented(line)}" for line in lines[:shown])
    if len(lines) > shown:
        yield f"  | … {len(lines) - ERRORS_MAX} more lines"


def _work_rows(attempt: AttemptTold) -> Iterator[tuple[str, str]]:
    """Yield rows about what an attempt did, what it cost, and where it is."""
    if attempt.check:
        yield "check", attempt.check
    if attempt.tokens or attempt.cost:
        yield "spent", spent_text(attempt.spent, attempt.tokens, attempt.cost)
    if attempt.in_flight.tokens:
        worth = f", ${dollars(attempt.in_flight.cost)}" if attempt.in_flight.cost else ""
        yield "in flight", f"up to {attempt.in_flight.tokens:,} tokens more{worth}, in a request that was open"
    if attempt.changed:
        yield "changed", one_line(", ".join(attempt.changed), 300)
    if attempt.outside:
        yield "outside", one_line(", ".join(attempt.outside), 300)
    yield from (("finding", one_line(line, 300)) for line in attempt.findings[:FINDINGS_MAX])
    if len(attempt.findings) > FINDINGS_MAX:
        yield "finding", f"… {len(attempt.findings) - FINDINGS_MAX} more"
    if attempt.landed:
        yield "landed", attempt.landed[:SHORT]
    elif attempt.commit and attempt.commit != attempt.base:
        yield "commit", attempt.commit[:SHORT]


def _review_rows(review: ReviewTold) -> Iterator[tuple[str, str]]:
    if review.detail:
        yield "", one_line(f"{review.reviewer} gave no verdict: {review.detail}", 500)
    else:
        judged = "rejected" if review.blocks else "passed"
        said = f"{review.reviewer}: {judged}, {many(len(review.findings), 'finding')}"
        yield "", one_line(f"{said}: {review.summary}" if review.summary else said, 300)
    for line in review.findings[:ERRORS_MAX]:
        yield "", one_line(f"- {line}", 300)
    if len(review.findings) > ERRORS_MAX:
        yield "", f"… {len(review.findings) - ERRORS_MAX} more"
    if review.touched:
        yield "", one_line(f"changed the tree, which was restored: {', '.join(review.touched)}", 300)


def spent_text(spent: Spending, tokens: int, cost: float) -> str:
    """Return tokens, their kinds as far as known, and the cost, with a remark if it is an estimate."""
    kinds = (("read", spent.input), ("from cache", spent.cache_read), ("to cache", spent.cache_write),
             ("written", spent.output))  # fmt: skip
    parts = ", ".join(f"{count:,} {what}" for what, count in kinds if count)
    money = "cost unknown" if spent.cost is None and not cost else f"${cost:.4f}"
    money = f"at least {money}, the rest is not known" if spent.partly and cost else money
    estimate = " (an estimate, from a table of prices)" if spent.estimated else ""
    return f"{tokens:,} tokens{f' ({parts})' if spent.output else ''}, {money}{estimate}"


def _step_text(step: StepTold, now: float) -> str:
    if step.state == "prepared":
        return "not started"
    took = duration((step.ended_at or now) - step.started_at)
    end = {"running": "runs", "lost": "killed from outside, last seen"}.get(step.state, f"exit {step.code}")
    why = f", stopped: {step.killed}" if step.killed else ""
    said = f"said {size(step.output_bytes)}"
    if step.state != "running":
        return f"{end} after {took}{why}, {said}"
    return f"runs for {took}, {said}" + (f"; now: {one_line(step.doing, 100)}" if step.doing else "")
