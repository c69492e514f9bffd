"""``agentjobs init``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="init")
@click.argument("kind", required=False)
@click.option("--list", "as_list", is_flag=True, help="List the kinds of job; write nothing.")
@click.option("--from", "source", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Use your own kind of job instead, as written by `agentjobs skill`.")
@click.option(
    "--demo", is_flag=True, help="Also create a small repository to try it on; this directory must be empty."
)
def command(kind: str | None, as_list: bool, source: Path | None, demo: bool) -> None:
    """Write agentjobs.toml, a prompt and checks for one KIND of job (default: blank) into this directory.

    Existing files are never overwritten. Nothing is added to git. Tasks start from the branch that is checked out
    here (key `base`).

    \b
    Example:
      agentjobs init --list
      agentjobs init js-to-ts
      mkdir try && cd try && agentjobs init fix-list --demo
    """
    from agentjobs.commands.init import fit_in, kinds, next_steps, source_of, summary, write_demo, write_kind
    from agentjobs.text.for_people import columns, many

    if as_list:
        for line in columns([(name, summary(name)) for name in kinds()]):
            click.echo(line)
        return
    if source is not None and (kind or demo):
        raise click.UsageError("give a KIND or --from, not both; --demo needs a KIND")
    kind = kind or "blank"
    shown: tuple[str, ...] = ()
    if demo:
        written = write_demo(kind, Path.cwd())
        shown = written.made
        click.echo(f"agentjobs: made a repository with {many(len(written.made), 'file')} to try {kind} on", err=True)
    written = write_kind(source or source_of(kind), Path.cwd())
    for path in written.made:
        click.echo(f"wrote {path}")
    for path in (path for path in written.kept if path not in shown):
        click.echo(f"agentjobs: {path} already exists and was not changed", err=True)
    if said := fit_in(Path.cwd(), written):
        click.echo(f"agentjobs: {said}", err=True)
    click.echo(f"next: {next_steps(Path.cwd(), demo=demo)}", err=True)
