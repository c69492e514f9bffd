"""``agentjobs plan``: the ways to create rows of the table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

import click
from msgspec.structs import replace

from agentjobs.cli.plan_documents import pack, tree
from agentjobs.cli.plan_options import DRY_RUN, LOCK_TIMEOUT, PROFILE, check_profile, say, show_rows, some, tell
from agentjobs.model.errors import UserError
from agentjobs.project.project import Project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentjobs.plans.files import FilePlan
    from agentjobs.plans.rows import Format


class Plans(click.Group):
    """The group of all plan commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Explain where options belong if one comes before the name of a plan."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"No such option {error.option_name!r}: put options after the name of a plan, as in "
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
    """Create rows of the task table. Rows that were started or settled are not changed.

    Without a command it runs `plan files`, if agentjobs.toml has a [plan] section.

    \b
    Example:
      agentjobs plan files 'src/**/*.js' --rename .js=.ts
      git ls-files '*.js' | agentjobs plan rows --column files
      agentjobs plan pack docs --budget 60k && agentjobs run && agentjobs plan tree --budget 60k
    """
    if ctx.invoked_subcommand is not None:
        return
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
              show_default=True, help="Format of stdin; auto detects it. csv: separated by commas, semicolons or "
              "tabs; tsv: as in tasks.tsv.")
@click.option("-z", "--null", is_flag=True, help="Lines end in NUL, as `git ls-files -z` prints them.")
@click.option("--id", "id_template", metavar="TEMPLATE",
              help="Template for ids, as in 'convert-{name}' (default: `id` or the first column).")
@click.option("--column", metavar="NAME",
              help="Column for plain lines (default: item); with `files` each line is one path, also as git "
              "quotes it.")
@PROFILE
@DRY_RUN
@LOCK_TIMEOUT
def rows(
    format_: str, null: bool, id_template: str | None, column: str | None, profile: str | None, dry_run: bool,
    lock_timeout: float,
) -> None:
    """Turn lines, a table (CSV, TSV) or JSON lines on stdin into rows of tasks.tsv.

    Safe to run again: it updates TODO rows, appends new ones, keeps all others and removes nothing. With --profile,
    rows without a profile get that one, and the output file from its `output`.

    \b
    Example:
      git ls-files 'src/*.js' | agentjobs plan rows --column files
      echo '{"id": "greet", "files": ["greet.py"], "task": "Add greet()."}' | agentjobs plan rows
    """
    from agentjobs.plans.rows import read_rows
    from agentjobs.plans.write import plan_rows

    project = Project.here()
    if sys.stdin.isatty():
        click.echo("agentjobs: reading rows from the terminal; finish with ^D", err=True)
    if null and format_ not in {"auto", "lines"}:
        raise click.UsageError("--null works only with --format lines")
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
    if planned.differing:
        say(f"only TODO rows change, so these were kept: {some(planned.differing)}; use --id for new ids")


def _endings(_: click.Context, __: click.Parameter, pairs: Sequence[str]) -> dict[str, str] | None:
    """Parse ``.js=.ts``."""
    for pair in pairs:
        old, sign, new = pair.partition("=")
        if not (sign and old.startswith(".") and new.startswith(".")):
            raise click.BadParameter(f"{pair!r} is not of the form .js=.ts")
    return {old: new for old, _, new in (pair.partition("=") for pair in pairs)} or None


@command.command(name="files")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--include", multiple=True, metavar="GLOB", help="Files to work on, as in .gitignore; repeatable.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Files to leave out; repeatable.")
@click.option("--max-lines", type=click.IntRange(min=1), metavar="N",
              help="Most lines of a task's files together (default 3000); a single file may be longer.")
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N",
              help="Most tokens of a task's files together (default: tokens are not counted).")
@click.option("--one-per-file/--grouped", default=None, help="One task for each file; circular imports stay together.")
@click.option("--loose-order/--strict-order", default=None,
              help="Order leaves first only by priority: no task waits for the files that it imports.")
@click.option("--co-change", type=click.IntRange(min=0), metavar="N",
              help="Group files that at least N commits (default 5), half of those of one file, changed; 0: never.")
@click.option("--rename", multiple=True, metavar=".OLD=.NEW", callback=_endings,
              help="File extension that changes: tasks may also write the new name; repeatable.")
@PROFILE
@click.option("--by", type=click.Choice(["dir", "none"]), help="Group by directory, or only by size and imports.")
@DRY_RUN
@LOCK_TIMEOUT
def files(paths: tuple[str, ...], dry_run: bool, lock_timeout: float, **options: Any) -> None:
    """Group a repository's files into tasks, leaves first: by directory, size, imports and history.

    It reads the commit that tasks start from: the target, or the base before anything has landed. [plan] in
    agentjobs.toml selects the files; with a PATH (file, directory or glob) only those of them below it. A task
    comes `after` the tasks whose files its own files import. Files that often changed together share a task; if
    they do not fit, one task comes after the other, so that the two never run at once.

    Safe to run again: tasks that have not started are grouped again, or SKIPPED if their files are gone; all others
    keep their files. A file of a DONE task that has changed since, or exists again, gets a new row.

    \b
    Example:
      agentjobs plan files 'src/**/*.js' --rename .js=.ts --max-lines 2000 --dry-run
      agentjobs plan files --include '*.py' --exclude tests --one-per-file
    """
    from agentjobs.plans.files import plan_files
    from agentjobs.policy.plan_files import Planning

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
    """Return the lines about a plan."""
    from agentjobs.text.for_people import many

    result, grouping = found.result, found.result.grouping
    waves = grouping.waves
    files_count = sum(len(group.files) for group in grouping.groups)
    widest = max(waves.values(), default=0)
    sizes = f"{many(files_count, 'file')} in {many(len(grouping.groups), 'task')}"
    lines = [f"{sizes}, {many(len(waves), 'wave')}, the widest of {many(widest, 'task')}"]
    if grouping.circles:
        lines.append(f"{_many(grouping.circles, 'circle')} of imports, kept together: {_first(grouping.circles)}")
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
        "left out, because a table cannot contain the name": found.odd,
        "left out, because hand-written types (.d.ts) are next to them; delete those to convert": found.typed,
    }
    lines += [f"{_many(paths, 'file')} {what}: {_first([paths])}" for what, paths in told.items() if paths]
    if found.excluded:
        lines.append(f"{_many(found.excluded, 'file')} left out by exclude: {_places(found.excluded)}")
    if result.held:
        lines.append(f"left to other rows, which are not changed: {many(result.held, 'file')}")
    if found.unresolved:
        lines.append(f"{found.unresolved} relative imports have no target")
    lines += [f"{row} waits for {need}, which is now left out: change its `after`" for row, need in result.stuck]
    if found.behind:
        lines.append("base has commits that target lacks: merge them into target, or no task will see them")
    skipped = sum(task_id not in set(result.ids) for task_id in result.statuses)
    planned = found.planned
    lines.append(
        f"{len(planned.added)} added, {len(planned.refreshed)} refreshed, {len(result.removed)} removed, "
        f"{skipped} skipped, {len(planned.kept)} kept"
    )
    return lines


def _many(items: Sequence[object], word: str) -> str:
    return f"{len(items)} {word}{'' if len(items) == 1 else 's'}"


def _places(paths: Sequence[str]) -> str:
    """Return the directories of files, each with the number of its own files; single files by name."""
    from collections import Counter

    counts = Counter(path.rpartition("/")[0] for path in paths)
    single = {path.rpartition("/")[0]: path for path in paths}
    shown = [single[place] if count == 1 else f"{place or '.'}/ ({count})" for place, count in sorted(counts.items())]
    most = 12
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more directories" if len(shown) > most else "")


def _first(circles: Sequence[Sequence[str]]) -> str:
    """Return the first files of the first list."""
    shown = ", ".join(circles[0][:3])
    return f"{shown}{', …' if len(circles[0]) > 3 or len(circles) > 1 else ''}"  # noqa: PLR2004 - enough to find it
