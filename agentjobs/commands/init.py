"""``agentjobs init``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="init")
@click.argument("kind", default="blank")
@click.option("--list", "as_list", is_flag=True, help="List the kinds of job there are; write nothing.")
@click.option(
    "--demo", is_flag=True, help="Also a small repository to try it on, made in this directory, which must be empty."
)
def command(kind: str, as_list: bool, demo: bool) -> None:
    """Write agentjobs.toml, a prompt and checks for one KIND of job (default: blank) into this directory.

    A file that is already there is never overwritten. Nothing is added to git.

    \b
    Example:
      agentjobs init --list
      agentjobs init js-to-ts
      mkdir try && cd try && agentjobs init fix-list --demo
    """
    from agentjobs.kinds import kinds, summary, write_demo, write_kind

    if as_list:
        for name in kinds():
            click.echo(f"{name}\t{summary(name)}")
        return
    shown: tuple[str, ...] = ()
    if demo:
        written = write_demo(kind, Path.cwd())
        shown = written.made
        click.echo(f"agentjobs: a repository with {len(written.made)} files to try {kind} on", err=True)
    written = write_kind(kind, Path.cwd())
    for path in written.made:
        click.echo(f"wrote {path}")
    for path in (path for path in written.kept if path not in shown):
        click.echo(f"agentjobs: {path} is there already and stays as it is", err=True)
    click.echo("next: read agentjobs.toml, fill tasks.tsv (by hand, or with `agentjobs plan rows` or `plan files`), "
               "then `agentjobs check`", err=True)
