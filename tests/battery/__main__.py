"""Run scenarios by their seeds, or one that is spelt out, and say what is wrong, made as small as it gets.

    python -m tests.battery --seeds 1-50 [--kind clone] [--sandbox bwrap] [--results FILE]
    python -m tests.battery --leftover 'put fifo tree/.gitignore' [--leftover …] [--when before] [--keep DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.battery.leftovers import KINDS, LAYOUTS, PROCESSES, SANDBOXES, WHEN, Deed, Scenario, draw
from tests.battery.scenario import COMMAND_S, Run

SHRINKS_MAX = 8
SHRINKING_S = 15.0
"""The program need not wait again for a command that took 40 s before."""


def tried(place: Path, scenario: Scenario, keep: bool = False, command_s: float = COMMAND_S) -> list[str]:
    """Run a scenario; return what is wrong."""
    run = Run(Path(tempfile.mkdtemp(prefix="run-", dir=place)), scenario, command_s)
    try:
        return run.run()
    finally:
        if keep:
            print(run.outside)
        else:
            run.remove()


def kinds_of(problems: list[str]) -> set[str]:
    """Return problems without their details: what must stay the same while a scenario is made smaller."""
    return {problem.partition(":")[0] for problem in problems}


def shrunk(place: Path, scenario: Scenario, problems: list[str]) -> tuple[Scenario, list[str]]:
    """Leave out one thing after another for as long as the first problem stays."""
    budget = SHRINKS_MAX
    wanted = problems[0].partition(":")[0]
    smaller = True
    while smaller and budget:
        smaller = False
        for less in scenario.smaller():
            if not budget:
                break
            budget -= 1
            found = tried(place, less, command_s=SHRINKING_S)
            if wanted in kinds_of(found):
                scenario, problems, smaller = less, found, True
                break
    return scenario, problems


def seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.battery", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=seeds, default=[], metavar="N[-M]")
    parser.add_argument("--kind", choices=KINDS, default="")
    parser.add_argument("--sandbox", choices=SANDBOXES, default="")
    parser.add_argument("--place", type=Path, default=None, help="where to work; default: a temporary directory")
    parser.add_argument("--results", type=Path, default=None, help="append a line of JSON for each failure")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--leftover", action="append", default=[], help="the words of one; may be given more than once")
    parser.add_argument("--when", choices=sorted(set(WHEN)), default="after")
    parser.add_argument("--end", default="0")
    parser.add_argument("--process", choices=sorted(set(PROCESSES)), default="none")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--layout", choices=sorted(set(LAYOUTS)), default="plain")
    parser.add_argument("--keep", action="store_true", help="leave the project there to be looked at")
    return parser.parse_args()


def spelt(given: argparse.Namespace) -> Scenario:
    """Return the scenario that the options spell out."""
    leftovers = tuple(
        ("git", text.removeprefix("git ")) if text.startswith("git ") else tuple(text.split())
        for text in given.leftover
    )
    deed = Deed(leftovers, given.when, given.end, given.process, given.once)
    return Scenario((deed,), given.kind or "worktree", given.sandbox or "none", given.layout)


def own_home(place: Path) -> None:
    """No run sees the user's HOME or settings of git."""
    os.environ["HOME"] = str(place / "home")
    (place / "home").mkdir(exist_ok=True)
    for name in [name for name in os.environ if name.startswith(("GIT_", "AGENTJOBS_", "XDG_"))]:
        del os.environ[name]


def main() -> int:
    given = arguments()
    place = Path(tempfile.mkdtemp(prefix="battery-", dir=given.place))
    own_home(place)
    scenarios = [draw(seed, given.kind, given.sandbox) for seed in given.seeds]
    scenarios += [spelt(given)] if given.leftover or given.process != "none" or not given.seeds else []
    classes: Counter[str] = Counter()
    known: set[tuple[str, tuple[str, ...]]] = set()
    for scenario in scenarios:
        began = time.monotonic()
        problems = tried(place, scenario, given.keep)
        took = f"{time.monotonic() - began:.1f} s"
        if not problems:
            print(f"ok   seed {scenario.seed} {took} {scenario}", flush=True)
            continue
        classes.update(kinds_of(problems))
        small, first = scenario, problems[0].partition(":")[0]
        is_known = any((first, cause) in known for cause in scenario.causes())
        if given.seeds and not given.no_shrink and not is_known:
            small, problems = shrunk(place, scenario, problems)
            if len(small.causes()) == 1:
                known.add((first, small.causes()[0]))
        print(f"FAIL seed {scenario.seed} {took} {small}", *problems, sep="\n     ", flush=True)
        if given.results:
            told = {"seed": scenario.seed, "uid": os.getuid(), "problems": problems, "small": small.json()}
            with given.results.open("a") as file:
                file.write(json.dumps(told | {"text": str(small), "all": str(scenario), "known": is_known}) + "\n")
    print(f"{len(scenarios)} scenarios; {dict(classes.most_common()) or 'nothing wrong'}")
    if not given.keep:
        os.system(f"rm -rf '{place}'")  # deeper than Python removes
    return 1 if classes else 0


if __name__ == "__main__":
    sys.exit(main())
