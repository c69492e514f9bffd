"""``agentjobs init``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="init")
@click.argument("kind", required=False)
@click.option("--list", "as_list", is_flag=True, help="List the kinds of job there are; write nothing.")
@click.option("--from", "source", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="A kind of one's own instead, as `agentjobs skill` writes it.")
@click.option(
    "--demo", is_flag=True, help="Also a small repository to try it on, made in this directory, which must be empty."
)
def command(kind: str | None, as_list: bool, source: Path | None, demo: bool) -> None:
    """Write agentjobs.toml, a prompt and checks for one KIND of job (default: blank) into this directory.

    A file that is already there is never overwritten. Nothing is added to git. Tasks begin at the branch that is
    checked out here (key `base`).

    \b
    Example:
      agentjobs init --list
      agentjobs init js-to-ts
      mkdir try && cd try && agentjobs init fix-list --demo
    """
    from agentjobs.commands.kinds import fit_in, kinds, next_steps, source_of, summary, write_demo, write_kind
    from agentjobs.text.columns import columns, many

    if as_list:
        for line in columns([(name, summary(name)) for name in kinds()]):
            click.echo(line)
        return
    if source is not None and (kind or demo):
        raise click.UsageError("name a KIND, or give --from: one of them, and --from without --demo")
    kind = kind or "blank"
    shown: tuple[str, ...] = ()
    if demo:
        written = write_demo(kind, Path.cwd())
        shown = written.made
        click.echo(f"agentjobs: a repository with {many(len(written.made), 'file')} to try {kind} on", err=True)
    written = write_kind(source or source_of(kind), Path.cwd())
    for path in written.made:
        click.echo(f"wrote {path}")
    for path in (path for path in written.kept if path not in shown):
        click.echo(f"agentjobs: {path} is there already and stays as it is", err=True)
    if said := fit_in(Path.cwd(), written):
        click.echo(f"agentjobs: {said}", err=True)
    click.echo(f"next: {next_steps(Path.cwd(), demo=demo)}", err=True)
