"""``agentjobs plan``: ways to make rows of the table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

import click

from agentjobs.cli.plan_documents import pack, tree
from agentjobs.cli.plan_options import DRY_RUN, LOCK_TIMEOUT, PROFILE, check_profile, show_rows, tell
from agentjobs.project.project import Project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.plans.files import FilePlan
    from agentjobs.plans.rows import Format


class Plans(click.Group):
    """The group of all plans."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say where an option belongs that stands before the name of a plan."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"No such option {error.option_name!r}: options come after the name of a plan, as in "
                f"`agentjobs plan files {error.option_name}`.", ctx,
            ) from None  # fmt: skip

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say what to do instead of `plan speckit`, which is a script now."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if args[0] != "speckit":
                raise
            hint = "use `python3 tools/speckit.py TASKS.MD | agentjobs plan rows` (it is in the template phased)"
            raise click.UsageError(f"{error.message} {hint}", ctx) from None


@click.group(name="plan", cls=Plans, invoke_without_command=True, no_args_is_help=False)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Make rows of the task table. What was begun or settled stays as it is.

    Alone it is `plan files`, if agentjobs.toml has a [plan] section.

    \b
    Example:
      agentjobs plan files 'src/**/*.js' --rename .js=.ts
      git ls-files '*.js' | agentjobs plan rows --column files
      agentjobs plan pack docs --budget 60k && agentjobs run && agentjobs plan tree --budget 60k
    """
    if ctx.invoked_subcommand is not None:
        return
    from agentjobs.model.errors import UserError

    try:
        project = Project.here()
    except UserError:
        raise click.exceptions.NoArgsIsHelpError(ctx) from None
    if project.policy.plan is None:
        raise click.exceptions.NoArgsIsHelpError(ctx)
    ctx.invoke(files)


for _more in (pack, tree):
    command.add_command(_more)


@command.command(name="rows")
@click.option("--format", "format_", type=click.Choice(["auto", "lines", "csv", "tsv", "jsonl"]), default="auto",
              show_default=True, help="How stdin is read; auto looks at it. csv: fields between commas, semicolons or "
              "tabs; tsv: as in tasks.tsv.")
@click.option("-z", "--null", is_flag=True, help="Lines end in NUL, as `git ls-files -z` prints them.")
@click.option("--id", "id_template", metavar="TEMPLATE",
              help="Make ids from columns, as in 'convert-{name}'; else from `id` or the first column.")
@click.option("--column", metavar="NAME",
              help="The column that plain lines go into (item); `files` takes each line as one path, also as git "
              "quotes it.")
@PROFILE
@DRY_RUN
@LOCK_TIMEOUT
def rows(
    format_: str, null: bool, id_template: str | None, column: str | None, profile: str | None, dry_run: bool,
    lock_timeout: float,
) -> None:
    """Turn lines, a table (CSV, TSV) or JSON lines on stdin into rows of tasks.tsv.

    May be run again: rows that are TODO are refreshed, new ones appended, all others kept; nothing is removed. With
    --profile, rows that do not say so get that profile, and what its `output` says they write.

    \b
    Example:
      git ls-files 'src/*.js' | agentjobs plan rows --column files
      echo '{"id": "greet", "files": ["greet.py"], "task": "Add greet()."}' | agentjobs plan rows
    """
    from agentjobs.plans.rows import read_rows
    from agentjobs.plans.write import plan_rows

    project = Project.here()
    if sys.stdin.isatty():
        click.echo("agentjobs: reading rows from the terminal; end with ^D", err=True)
    if null and format_ not in {"auto", "lines"}:
        raise click.UsageError("--null ends lines: it goes with --format lines alone")
    format_name = cast("Format", "null" if null else format_)
    if profile is not None:
        check_profile(project, profile)
    found = read_rows(sys.stdin.buffer.read(), format_name, id_template=id_template, column=column)
    if profile is not None:
        from agentjobs.policy.phases import filled

        found = [filled(row, profile, project.policy.profiles[profile].output) for row in found]
    planned = plan_rows(project, found, dry_run=dry_run, lock_timeout_s=lock_timeout)
    if dry_run:
        show_rows(found, planned)
    tell(planned, dry_run=dry_run)


def _endings(_: click.Context, __: click.Parameter, pairs: Sequence[str]) -> dict[str, str] | None:
    """Read ``.js=.ts``."""
    for pair in pairs:
        old, sign, new = pair.partition("=")
        if not (sign and old.startswith(".") and new.startswith(".")):
            raise click.BadParameter(f"{pair!r} is not of the form .js=.ts")
    return {old: new for old, _, new in (pair.partition("=") for pair in pairs)} or None


@command.command(name="files")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--include", multiple=True, metavar="GLOB", help="Files to work on, as in .gitignore; may be repeated.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Files to leave out; may be repeated.")
@click.option("--max-lines", type=click.IntRange(min=1), metavar="N",
              help="Lines of a task's files together (3000); a single file may be longer.")
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N",
              help="Likewise in tokens; else they are not counted.")
@click.option("--one-per-file/--grouped", default=None, help="A task for each file; circles of imports stay together.")
@click.option("--loose-order/--strict-order", default=None,
              help="Leaves first by priority alone: no task waits for what its files import.")
@click.option("--co-change", type=click.IntRange(min=0), metavar="N",
              help="Keep files together that N commits changed together (5), half of those on either; 0: do not look.")
@click.option("--rename", multiple=True, metavar=".OLD=.NEW", callback=_endings,
              help="An ending that changes: tasks may write the new name as well; may be repeated.")
@PROFILE
@click.option("--by", type=click.Choice(["dir", "none"]), help="Group by directory, or by size and imports alone.")
@DRY_RUN
@LOCK_TIMEOUT
def files(paths: tuple[str, ...], dry_run: bool, lock_timeout: float, **options: Any) -> None:
    """Group a repository's files into tasks, leaves first: by directory, size, imports and history.

    Read is the commit that tasks start from: the target, or the base before anything has landed. [plan] of
    agentjobs.toml says which files; a PATH (file, directory or glob) takes only those of them beneath it. A task comes
    `after` those whose files its own import. Files that often changed together share a task; where they cannot, one
    task comes after the other, so that the two never run at once.

    May be run again: tasks that have not begun are grouped anew, or SKIPPED where their files are gone; all others stay
    and keep their files. A file of a DONE task that has changed since, or is there again, gets a new row.

    \b
    Example:
      agentjobs plan files 'src/**/*.js' --rename .js=.ts --max-lines 2000 --dry-run
      agentjobs plan files --include '*.py' --exclude tests --one-per-file
    """
    from msgspec.structs import replace

    from agentjobs.plans.files import plan_files
    from agentjobs.policy.plan import Planning

    project = Project.here()
    given = {name: value for name, value in options.items() if value not in (None, ())}
    planning = replace(project.policy.plan or Planning(), **given)
    if planning.profile is not None and planning.profile not in project.policy.profiles:
        raise click.BadParameter(f"no profile {planning.profile!r} in agentjobs.toml", param_hint="--profile")
    found = plan_files(project, planning, paths, dry_run=dry_run, lock_timeout_s=lock_timeout)
    if dry_run:
        gone = tuple(i for i in found.result.statuses if i not in set(found.result.ids))
        show_rows(found.result.rows, found.planned, removed=found.result.removed, skipped=gone)
    for line in _summary(found):
        click.echo(f"agentjobs: {line}", err=True)
    if dry_run:
        click.echo("agentjobs: dry run: nothing was written", err=True)


def _summary(found: FilePlan) -> list[str]:
    """Say what there is to know of a plan, a line for each thing."""
    from agentjobs.text.columns import many

    result, grouping = found.result, found.result.grouping
    waves = grouping.waves
    files_count = sum(len(group.files) for group in grouping.groups)
    widest = max(waves.values(), default=0)
    sizes = f"{many(files_count, 'file')} in {many(len(grouping.groups), 'task')}"
    lines = [f"{sizes}, {many(len(waves), 'wave')}, the widest of {many(widest, 'task')}"]
    if grouping.circles:
        lines.append(f"{_many(grouping.circles, 'circle')} of imports kept together: {_first(grouping.circles)}")
    if grouping.split:
        against = _many(grouping.ignored, "import")
        lines.append(
            f"{_many(grouping.split, 'circle')} of imports too large for one task, and split, "
            f"against {against}: {_first(grouping.split)}"
        )
    if grouping.joined or grouping.apart:
        lines.append(
            f"{_many((*grouping.joined, *grouping.apart), 'pair')} of files that change together: "
            f"{len(grouping.joined)} in one task, {len(grouping.apart)} one after the other"
        )
    told = {
        "changed since their task was DONE, and planned again": found.again,
        "whose new name is there already": found.there,
        "left out, for a name that no table can hold": found.odd,
    }
    lines += [f"{_many(paths, 'file')} {what}: {_first([paths])}" for what, paths in told.items() if paths]
    if result.held:
        lines.append(f"left to other rows, which stay as they are: {many(result.held, 'file')}")
    if found.unresolved:
        lines.append(f"{found.unresolved} relative imports lead nowhere")
    lines += [f"{row} waits for {need}, which is left out now: change its `after`" for row, need in result.stuck]
    if found.behind:
        lines.append("base has commits that target lacks: merge them into it, or no task will see them")
    skipped = sum(task_id not in set(result.ids) for task_id in result.statuses)
    planned = found.planned
    lines.append(
        f"{len(planned.added)} added, {len(planned.refreshed)} refreshed, {len(result.removed)} removed, "
        f"{skipped} skipped, {len(planned.kept)} kept"
    )
    return lines


def _many(items: Sequence[object], word: str) -> str:
    return f"{len(items)} {word}{'' if len(items) == 1 else 's'}"


def _first(circles: Sequence[Sequence[str]]) -> str:
    """Return the beginning of the first list of files."""
    shown = ", ".join(circles[0][:3])
    return f"{shown}{', …' if len(circles[0]) > 3 or len(circles) > 1 else ''}"  # noqa: PLR2004 - enough to find it
