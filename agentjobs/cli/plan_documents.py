"""``agentjobs plan pack`` and ``plan tree``."""

from __future__ import annotations

import click

from agentjobs.cli.plan_options import (
    BUDGET,
    DRY_RUN,
    LOCK_TIMEOUT,
    PROFILE,
    check_output,
    check_profile,
    output_of,
    say,
    show_rows,
    some,
    tell,
)
from agentjobs.project.project import Project
from agentjobs.text.tsv import is_id


def _name(_: click.Context, __: click.Parameter, value: str) -> str:
    if not is_id(f"{value}-1-001"):
        raise click.BadParameter(f"{value!r} cannot start an id: use letters, digits, '.', '_' and '-'")
    return value


@click.command(name="pack")
@click.argument("docs", nargs=-1, required=True, metavar="DOC...")
@BUDGET
@click.option("--by", type=click.Choice(["dir", "none"]), default="none", show_default=True,
              help="dir: keep documents of one directory together; small directories join the one above.")
@click.option("--split", is_flag=True, help="Cut a document that is over the budget at its headings.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Documents to leave out; repeatable.")
@click.option("--name", default="batch", show_default=True, metavar="NAME", callback=_name,
              help="Prefix of the ids; another name is another plan.")
@click.option("--output", metavar="PATH",
              help="Output file of each task (default: `output` of the profile, or out/{id}.md). Empty: no output.")
@PROFILE
@DRY_RUN
@LOCK_TIMEOUT
def pack(
    docs: tuple[str, ...], budget: int, by: str, split: bool, exclude: tuple[str, ...], name: str, output: str | None,
    profile: str | None, dry_run: bool, lock_timeout: float,
) -> None:
    """Put documents into batches under a hard budget of tokens, one task for each batch.

    DOCs are files, directories and globs: of the commit that tasks start from, or of the project's directory if
    workspace.kind is none. Only a single document can be over the budget: it gets its own batch, and `oversized` is
    yes; with --split it is cut into parts, `path:FIRST-LAST` (lines). The column `docs` lists what to read.

    Safe to run again: batches that have not started are made again, all others keep their documents. A document of
    a DONE row that has changed since gets into a new batch.

    \b
    Example:
      agentjobs plan pack docs --budget 60k --dry-run
      agentjobs plan pack 'specs/**/*.txt' --budget 100k --by dir --split --profile analyse
    """
    from agentjobs.plans.documents import plan_pack
    from agentjobs.plans.repack import Wanted
    from agentjobs.text.for_people import many

    project = Project.here()
    check_profile(project, profile)
    output = output_of(project, profile, output)
    check_output(output)
    wanted = Wanted(name, budget, by == "dir", output, profile)
    found = plan_pack(
        project, docs, wanted, exclude=exclude, split=split, dry_run=dry_run, lock_timeout_s=lock_timeout
    )
    result, changes = found.result, found.result.changes
    if dry_run:
        show_rows(changes.rows, found.planned, removed=changes.removed, skipped=tuple(changes.skipped))
    tokens = sum(batch.tokens for batch in result.batches)
    share = tokens / (budget * len(result.batches)) if result.batches else 0.0
    count = sum(len(batch.documents) for batch in result.batches)
    read = f"{many(count, 'document')}, {many(tokens, 'token')}"
    say(f"{read}, in {many(len(result.batches), 'batch')}, {share:.0%} full")
    if result.oversized:
        cure = "" if split else "; --split cuts at headings"
        say(f"single documents over the budget: {some(result.oversized)}{cure}")
    if result.again:
        say(f"changed since their task was DONE, and planned again: {some(result.again)}")
    if result.held:
        say(f"left to other rows, which are not changed: {many(result.held, 'document')}")
    if found.odd:
        say(f"left out, because a cell cannot contain the name: {some([ascii(path) for path in found.odd])}")
    if found.binary:
        say(f"left out, because empty or not text: {found.binary}")
    tell(found.planned, removed=len(changes.removed), skipped=len(changes.skipped), dry_run=dry_run)


@click.command(name="tree")
@click.option("--fan-in", type=click.IntRange(min=2), default=5, show_default=True, metavar="N",
              help="Most outputs that one task merges.")
@BUDGET
@click.option("--of", metavar="PROFILE", envvar="AGENTJOBS_PHASE_BEFORE",
              help="Merge only outputs of this profile's tasks (default in the plan of a phase: the previous phase).")
@click.option("--name", default="merge", show_default=True, metavar="NAME", callback=_name,
              help="Prefix of the ids; another name is another tree.")
@click.option("--output", metavar="PATH",
              help="Output file of each task (default: `output` of the profile, or out/{id}.md).")
@click.option("--min-done", type=click.FloatRange(min=0, min_open=True, max=1), metavar="SHARE",
              help="Share of the outputs that must exist to continue (default: `min_done` of the profile).")
@PROFILE
@DRY_RUN
@LOCK_TIMEOUT
def tree(
    fan_in: int, budget: int, of: str | None, name: str, output: str | None, min_done: float | None,
    profile: str | None, dry_run: bool, lock_timeout: float,
) -> None:
    """Plan the next level of merging many outputs into one.

    It merges the outputs that tasks with an `output` cell have written: tasks of `plan pack`, or any others. When a
    level has settled, run it again: it plans the next level, until one output is left. Neighbours are merged,
    evenly, in as few tasks as possible; an output without a partner waits for the next level. While a level is not
    settled it changes nothing, and reports what it waits for.

    \b
    Example:
      agentjobs plan tree --fan-in 5 --budget 60k
      agentjobs plan tree --of analyse --profile merge --budget 60k --min-done 0.95 --dry-run
    """
    from agentjobs.plans.documents import Tree, plan_tree
    from agentjobs.text.for_people import many

    project = Project.here()
    check_profile(project, profile)
    if of is not None:
        check_profile(project, of)
    output = output_of(project, profile, output)
    if not output:
        raise click.BadParameter("a merge needs an output", param_hint="--output")
    check_output(output)
    share = project.policy.profiles[profile or "default"].min_done if min_done is None else min_done
    wanted = Tree(name, fan_in, budget, of, output, profile, share)
    found = plan_tree(project, wanted, dry_run=dry_run, lock_timeout_s=lock_timeout)
    step, changes = found.step, found.changes
    if dry_run:
        show_rows(changes.rows, found.planned, removed=changes.removed, skipped=tuple(changes.skipped))
    if found.stale:
        say(f"out of date, because an input changed: {some(found.stale)}; do them again with `agentjobs retry`")
    if step.pending:
        say(f"the next level waits for {many(len(step.pending), 'task')}: {some(step.pending)}")
    elif step.root:
        say(f"everything is merged: {found.root}")
    else:
        level = max(merge.level for merge in step.merges)
        inputs = sum(len(merge.inputs) for merge in step.merges)
        say(f"level {level}: {inputs} outputs into {len(step.merges)}")
        if step.carried:
            say(f"left for the level above: {some(step.carried)}")
        if step.missing:
            say(f"without the outputs of {many(len(step.missing), 'task')}: {some(step.missing)}")
    tell(found.planned, removed=len(changes.removed), skipped=len(changes.skipped), dry_run=dry_run)
