"""``agentjobs same-code``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentjobs.model.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentjobs.proof.compare import Tier
    from agentjobs.proof.pairs import BaseFiles, Pair


@click.command(name="same-code")
@click.option("--tier", type=click.Choice(["strict", "lenient", "review"]), default="strict", show_default=True,
              help="What may differ; docs/proof.md has the table.")
@click.option("--renamed", metavar="FROM=TO", multiple=True, help="Extensions that a conversion changes: .js=.ts.")
@click.option("--base", metavar="COMMIT", help="Commit of the originals (default: $AGENTJOBS_BASE_COMMIT).")
@click.option("--partly", is_flag=True, help="Accept files that are still JavaScript.")
@click.argument("paths", metavar="[OLD NEW]", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(tier: Tier, renamed: tuple[str, ...], base: str | None, partly: bool, paths: tuple[Path, ...]) -> int:
    """Check that a TypeScript file without its types equals the JavaScript file it was made from.

    With two files it compares these. Without, as a check of a task, it compares each file in AGENTJOBS_FILES with
    its original at the base commit. Exit 1 if one differs, is still JavaScript, or was deleted.

    \b
    Example:
      agentjobs same-code lib/a.js lib/a.ts
      verify = ["agentjobs same-code", "npx tsc --noEmit"]
    """
    endings = _endings(renamed)
    if paths:
        if len(paths) != 2:  # noqa: PLR2004 - the original and what became of it
            raise click.UsageError("name two files, the original and the new one, or none")
        from agentjobs.proof.compare import compare

        old, new = paths
        found = compare(old.read_bytes(), str(old), new.read_bytes(), str(new), tier)
        problems = [] if found is None else [found.render(str(old), str(new))]
    else:
        from agentjobs.proof.pairs import from_environment

        files = from_environment(Path.cwd(), base)
        pairs = files.pairs(endings)
        problems = list(_problems(files, pairs, tier, endings, partly=partly))
        click.echo(f"agentjobs: {len(pairs)} files compared, {len(problems)} differ", err=True)
    for problem in problems:
        click.echo(problem)
    return ExitCode.FAILED if problems else ExitCode.OK


def _endings(renamed: Sequence[str]) -> Mapping[str, Sequence[str]]:
    from agentjobs.proof.pairs import RENAMED

    found: dict[str, list[str]] = {}
    for option in renamed:
        old, equals, new = option.partition("=")
        if not (equals and old.startswith(".") and new.startswith(".")):
            raise click.UsageError(f"--renamed {option!r}: write it as .js=.ts")
        found.setdefault(old, []).append(new)
    return found or RENAMED


def _problems(
    files: BaseFiles, pairs: Sequence[Pair], tier: Tier, endings: Mapping[str, Sequence[str]], *, partly: bool
) -> Iterator[str]:
    from agentjobs.proof.compare import compare

    before = files.old([pair.old for pair in pairs if pair.old is not None])
    for pair in pairs:
        if pair.new is None:
            yield f"agentjobs: {pair.old}:1: deleted, and there is no file with an allowed new name"
            continue
        after = files.new([pair.new])[pair.new]
        if pair.old is None:
            found = compare(b"", "none.js", after, pair.new, tier)
            if found is not None:
                yield f"agentjobs: {pair.new}:1: new code: a new file may contain only types"
            continue
        if pair.old == pair.new:
            if not partly and any(pair.old.endswith(ending) for ending in endings):
                yield f"agentjobs: {pair.old}:1: still JavaScript"
            if before[pair.old] == after:
                continue
        elif pair.old in files.new([pair.old]):
            yield f"agentjobs: {pair.old}:1: still exists beside {pair.new}"
        found = compare(before[pair.old], pair.old, after, pair.new, tier)
        if found is not None:
            yield found.render(pair.old, pair.new)
