"""How good the comparison of `agentjobs same-code` is, measured on code of others (docs/proof.md has the results).

    python -m tests.bench.samecode_proof [--every N] [--tier TIER] PLACE...

A place is a git checkout whose converted files lie in the working tree and whose originals are in HEAD, or a
directory in which `x.js` lies beside `x.ts`. Every pair must be found equal; every changed copy of a new file must
be found different. Changes that mean nothing are the exception: they are printed, so that a person can look at them.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from agentjobs.proof.compare import TIERS, Tier, compare
from agentjobs.source.syntax import language_of
from tests.bench.samecode_mutants import mutants

if TYPE_CHECKING:
    from collections.abc import Iterator

Pair = tuple[str, bytes, str, bytes]


def pairs(place: Path) -> Iterator[Pair]:
    """Yield each pair of a place: name and text of the original, name and text of what it was made into."""
    if not (place / ".git").exists():
        for new in sorted(place.rglob("*.*ts*")):
            found = re.fullmatch(r"(.*)\.([cm]?)ts(x?)", new.name)
            old = new.with_name(f"{found[1]}.{found[2]}js{found[3]}") if found else None
            if old is not None and old.is_file():
                yield str(old), old.read_bytes(), str(new), new.read_bytes()
        return
    gone = subprocess.run(["git", "ls-files", "-d", "-z"], cwd=place, capture_output=True, check=True).stdout
    for name in gone.decode().split("\0"):
        found = re.fullmatch(r"(.*)\.([cm]?)js(x?)", name)
        new_names = (f"{found[1]}.{found[2]}ts{found[3]}", f"{found[1]}.{found[2]}tsx") if found else ()
        for new_name in new_names:
            if (place / new_name).is_file():
                shown = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=place, capture_output=True, check=True)
                yield name, shown.stdout, new_name, (place / new_name).read_bytes()


@click.command()
@click.option("--every", default=1, help="Try each Nth change only.")
@click.option("--tier", type=click.Choice(TIERS), default="strict")
@click.argument("places", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(every: int, tier: str, places: tuple[Path, ...]) -> None:
    """Print false alarms, missed changes and counts."""
    chosen = cast("Tier", tier)
    planted: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    total = alarms = 0
    seconds = 0.0
    for place in places:
        here = bad = 0
        for old_name, old, new_name, new in pairs(place):
            here += 1
            started = time.perf_counter()
            difference = compare(old, old_name, new, new_name, chosen)
            seconds += time.perf_counter() - started
            if difference is not None:
                bad += 1
                print(difference.render(old_name, f"{place}/{new_name}"))
                continue
            for number, mutant in enumerate(mutants(new, language_of(new_name) or "typescript")):
                if number % every or mutant.text == new:
                    continue
                planted[mutant.kind] += 1
                if compare(old, old_name, mutant.text, new_name, chosen) is None:
                    missed[mutant.kind] += 1
                    print(f"missed: {place}/{new_name}:{mutant.line}: {mutant.kind}")
        print(f"{place.name}: {here} pairs, {bad} false alarms")
        total, alarms = total + here, alarms + bad
    for kind, count in sorted(planted.items()):
        print(f"{kind}: {count} planted, {missed[kind]} missed")
    print(f"{total} pairs in {seconds:.1f} s, {alarms} alarms; {planted.total()} changes, {missed.total()} missed")
    sys.exit(1 if alarms or missed else 0)


if __name__ == "__main__":
    main()
