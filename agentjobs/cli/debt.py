"""``agentjobs debt``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentjobs.model.errors import ExitCode, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentjobs.proof.debt import Debt
    from agentjobs.proof.pairs import BaseFiles


@click.command(name="debt")
@click.option("--max", "most", metavar="NAME=N", multiple=True,
              help="Highest allowed count in all files together, as in any=3.")
@click.option("--floor", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Highest allowed counts of each file: the output of an earlier --json.")
@click.option("--tighten", is_flag=True, help="The sum must be lower than at the base, and no count higher.")
@click.option("--base", metavar="COMMIT", help="Commit to compare with (default: $AGENTJOBS_BASE_COMMIT).")
@click.option("--json", "as_json", is_flag=True, help="Print the counts of each file as JSON.")
@click.option("--rows", "as_rows", is_flag=True,
              help="Print a row for each file that has debt at the base commit, for `agentjobs plan rows`.")
@click.argument("paths", metavar="[FILES]...", nargs=-1, type=click.Path(exists=True, dir_okay=False))
def command(
    most: tuple[str, ...], floor: Path | None, tighten: bool, base: str | None, as_json: bool, as_rows: bool,
    paths: tuple[str, ...],
) -> int:
    """Count what hides problems: `any`, `!`, suppressions; in a task also weakened tests, exports and settings.

    With files, or outside of a task, it prints the counts. As a check of a task it compares the files in
    AGENTJOBS_FILES with the base commit: `@ts-ignore`, `@ts-nocheck` and suppressions of missing names may not
    increase, tests may not test less, exports may not disappear, tsconfig may not check less. Exit 1 if something
    is over its limit.

    \b
    Example:
      agentjobs debt --json src/*.ts > floor.json
      verify = ["agentjobs debt --max any=20 --max expect_error=0"]
      verify = ["agentjobs debt --tighten"]
      agentjobs debt --rows --base agentjobs/landed | agentjobs plan rows
    """
    from agentjobs.proof.debt import Debt, debt_of

    allowed = _allowances(most)
    if as_rows:
        _print_rows(base, paths)
        return ExitCode.OK
    files = None
    if paths:
        counts = {path: debt_of(Path(path).read_bytes(), path) for path in paths}
    else:
        from agentjobs.proof.pairs import from_environment

        files = from_environment(Path.cwd(), base)
        new = files.new(pair.new for pair in files.pairs() if pair.new is not None)
        counts = {path: debt_of(source, path) for path, source in new.items()}
    total = sum(counts.values(), Debt())
    _print(counts, total, as_json=as_json)
    problems = [f"agentjobs: {name}: {count}, at most {limit}" for name, (count, limit) in total.over(allowed).items()]
    if floor is not None:
        problems += _above_floor(counts, floor)
    if files is not None:
        problems += _against_base(files, total, allowed, tighten=tighten)
    elif tighten:
        raise click.UsageError("--tighten compares with a base commit and takes no files")
    for problem in problems:
        click.echo(problem, err=as_json)
    return ExitCode.FAILED if problems else ExitCode.OK


def _allowances(most: Sequence[str]) -> dict[str, int]:
    from agentjobs.proof.debt import NAMES

    found = {}
    for option in most:
        name, equals, number = option.partition("=")
        name = name.replace("-", "_")
        if not equals or name not in NAMES or not number.isdecimal():
            raise click.UsageError(f"--max {option!r}: write it as any=3; the names are {', '.join(NAMES)}")
        found[name] = int(number)
    return found


def _print(counts: Mapping[str, Debt], total: Debt, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({path: debt.counts() for path, debt in sorted(counts.items())}, indent=1))
        return
    click.echo("\t".join((*total.counts(), "file")))
    for path, debt in [*sorted(counts.items()), ("(all)", total)]:
        if debt.total() or path == "(all)":
            click.echo("\t".join((*map(str, debt.counts().values()), path)))


def _print_rows(base: str | None, paths: Sequence[str]) -> None:
    """Print a task of the profile `tighten` for each file with debt, as a JSON line; the largest debt first."""
    from agentjobs.plans.rows import slug
    from agentjobs.proof.debt import TEST_NAME, debt_of
    from agentjobs.proof.pairs import from_environment

    files = from_environment(Path.cwd(), base)
    wanted = [name for name in files.names if not TEST_NAME.search(name) and (not paths or name in paths)]
    for path, source in files.old(wanted).items():
        debt = debt_of(source, path)
        if debt.total():
            counts = ", ".join(f"{count} {name}" for name, count in debt.counts().items() if count)
            row = {"id": f"tighten.{slug(path)}", "profile": "tighten", "files": [path], "debt": counts,
                   "priority": debt.total()}  # fmt: skip
            click.echo(json.dumps(row))


def _above_floor(counts: Mapping[str, Debt], floor: Path) -> Iterator[str]:
    try:
        known = json.loads(floor.read_text(encoding="utf-8"))
        floors = {path: {name: int(count) for name, count in found.items()} for path, found in known.items()}
    except (ValueError, AttributeError, TypeError):
        raise UserError("is not the output of `agentjobs debt --json`", file=str(floor)) from None
    for path, debt in sorted(counts.items()):
        limits = {name: count for name, count in floors.get(path, {}).items() if name in debt.counts()}
        for name, (count, limit) in debt.over(limits).items():
            yield f"agentjobs: {path}:1: {name}: {count}, the floor is {limit}"


def _against_base(files: BaseFiles, total: Debt, allowed: Mapping[str, int], *, tighten: bool) -> Iterator[str]:
    from agentjobs.proof.debt import Debt, debt_of, removed_exports, weakened_settings, weakened_tests

    pairs = files.pairs()
    before = files.old([pair.old for pair in pairs if pair.old is not None])
    after = files.new(pair.new for pair in pairs if pair.new is not None)
    was = sum((debt_of(source, path) for path, source in before.items()), Debt())
    never = {name: was.counts()[name] for name in ("ignore", "nocheck", "hiding") if name not in allowed}
    limits = was.counts() if tighten else never
    for name, (count, limit) in total.over(limits).items():
        yield f"agentjobs: {name}: {count}, at the base {limit}"
    if tighten and total.total() >= was.total():
        yield f"agentjobs: the debt is {total.total()}, at the base {was.total()}: it must be lower"
    for line in (*weakened_tests(before, after), *removed_exports(before, after)):
        yield f"agentjobs: {line}"
    names = files.settings()
    old, new = files.old(names), files.new(names)
    for name in names:
        if name in old and name not in new:
            yield f"agentjobs: {name}:1: was deleted"
        elif name in old and old[name] != new[name]:
            yield from (f"agentjobs: {line}" for line in weakened_settings(old[name], new[name], name))
