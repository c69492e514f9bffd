"""Write docs/migrations.md from tests/migrate/results: ``python -m tests.migrate.table``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs" / "migrations.md"

HEAD = """\
# Migrations

The results of the job js-to-ts on real packages, with its scripted agent: no model, no key, nothing repaired by hand.
`python -m tests.migrate.table` writes this page from `tests/migrate/results`. To measure again:

```sh
make migrate PKG=koa                    # the package as the npm registry has it; mostly without its tests
make migrate PKG=koa FROM=~/src/koa     # a git checkout, at the commit of tests/migrate/packages.toml, with its tests
make migrate-table                      # write this page
```

The gate is `tsc --strict` for the whole package, and the package's own unchanged tests if the checkout has them.
At the end everything is checked once more: the compiler, the tests, and `agentjobs same-code` for all files.
"""

COLUMNS = """\
- attempts: first attempts, and, if checks failed, repairs (layer 2) and restarts (layer 3)
- gate: runs of the gate
- tsc: runs of the compiler on the whole package, by the gate or (serial) by the checks of a task
- suppressed: `@ts-expect-error`; `any`: as a type
- s: wall clock of `agentjobs plan` and `agentjobs run`, two agents at once on two cores
"""


def main() -> None:
    """Write the page."""
    found = [json.loads(path.read_text()) for path in (HERE / "results").glob("*.json")]
    plain = [one for one in found if one["landing"] == "batch"]
    pairs = _pairs()
    page = [HEAD, _table(plain), "", COLUMNS]
    if pairs:
        page.append(_compared(pairs))
    PAGE.write_text("\n".join(page))


def _table(found: list[dict[str, Any]]) -> str:
    names = [
        "package",
        "files",
        "tasks",
        "landed",
        "attempts",
        "gate",
        "tsc",
        "s",
        "suppressed",
        "`any`",
        "strict",
        "same-code",
        "tests",
    ]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for one in sorted(found, key=lambda one: (one["files"], one["package"])):
        modes = ", ".join(f"{count} {mode}" for mode, count in one["attempts"].items())
        tests = f"{one['tests']:,} pass" if isinstance(one["tests"], int) else one["tests"]
        loose = ", loose order" if one["order"] == "loose" else ""
        cells = (
            f"{one['package']} {one['version']}{loose}", one["files"], one["tasks"], one["landed"], modes,
            one["gate_runs"], one["tsc_runs"], one["wall_s"], one["expect_error"], one["any"], _short(one["tsc"]),
            _short(one["same_code"]), tests,
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _short(verdict: str) -> str:
    return verdict if verdict == "ok" else "no"


def _pairs() -> list[tuple[Path, Path]]:
    """Return the results of the same run, in batches and serial."""
    serial = sorted((HERE / "results").glob("*-serial.json"))
    both = [(path.with_name(path.name.replace("-serial", "")), path) for path in serial]
    return [(batch, one) for batch, one in both if batch.exists()]


def _compared(pairs: list[tuple[Path, Path]]) -> str:
    lines = [
        "## One check for many tasks",
        "",
        "The same package twice: with one run of the gate for up to 16 tasks, and with",
        "`batch = 1`, where tsc and the tests are checks of each task (`--serial`).",
        "",
        "| package | tasks | landed | tsc, batch | serial | ratio | s, batch | serial | times faster | load before |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one, other in pairs:
        batch, serial = json.loads(one.read_text()), json.loads(other.read_text())
        cells = (
            batch["package"], batch["tasks"], f"{batch['landed']}, {serial['landed']}", batch["tsc_runs"],
            serial["tsc_runs"], f"{batch['tsc_runs'] / serial['tsc_runs']:.2f}", batch["wall_s"], serial["wall_s"],
            f"{serial['wall_s'] / batch['wall_s']:.1f}", f"{batch['load_before']}, {serial['load_before']}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, "", "A load above 2 means that the machine also did other work.", ""])


if __name__ == "__main__":
    main()
