"""``agentjobs validate``."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentjobs.model.errors import ExitCode, UserError

if TYPE_CHECKING:
    from agentjobs.text.json_schema import Schema


@click.command(name="validate")
@click.option("--lines", is_flag=True, help="JSON Lines: every line that is not blank must match.")
@click.argument("schema", metavar="SCHEMA")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def command(lines: bool, schema: str, file: Path) -> int:
    """Check a JSON file against a JSON Schema: one line for each error, and exit 1 if there are any.

    Nothing is downloaded: the schema must contain everything that it refers to. SCHEMA is a file, or `verdict` for
    the verdict of a reviewer (for a file of that name write `./verdict`).

    \b
    Example:
      agentjobs validate result.schema.json segments/a.json
      agentjobs validate --lines event.schema.json out.jsonl
      agentjobs validate verdict "$AGENTJOBS_VERDICT"
    """
    from agentjobs.text.json_schema import FAULTS_MAX

    faults = 0
    known = _schema(schema)
    data = file.read_bytes() if file.is_file() else None
    if data is None:
        what = "is not a file" if file.exists() else "is missing; nothing was written to it"
        click.echo(f"{file}: {what}")
        return ExitCode.FAILED
    for fault in islice(known.faults(data, lines=lines), FAULTS_MAX + 1):
        faults += 1
        if faults > FAULTS_MAX:
            click.echo(f"{file}: … and more")
            break
        click.echo(f"{file}:{fault.line}: {fault}" if fault.line else f"{file}: {fault}")
    if faults and not lines and file.suffix in {".jsonl", ".ndjson"}:
        click.echo(f"agentjobs: {file.name} looks like JSON Lines; use --lines", err=True)
    return ExitCode.FAILED if faults else ExitCode.OK


def _schema(schema: str) -> Schema:
    """Return the schema. UserError if there is no such file, or it is not a schema."""
    from agentjobs.run.review.verdict_file import SCHEMA, verdict_schema
    from agentjobs.text.json_schema import Schema

    if schema == SCHEMA:
        return verdict_schema()
    path = Path(schema)
    if not path.is_file():
        raise UserError("no such schema", file=schema)
    return Schema(path.read_bytes(), schema)
