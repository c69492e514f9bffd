"""Random kills: SIGKILL poll and dispatch again and again while many tasks are at work, then look at the end.

    python -m tests.kit.killing DIR [--kills 200] [--seed 1]

Every other kill takes the git commands of the poll along. Nothing is expected but what each task's plan says: as if
nobody had been killed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from tests.kit.crashing import POLLS_MAX, Driver, make_project

PLANS = {
    "ok": ("DONE", 1),
    "crash ok": ("DONE", 2),
    "wrong ok": ("DONE", 2),
    "nap": ("DONE", 1),
    "linger": ("DONE", 1),
    "wrong": ("FAILED", 2),
    "crash wrong ok": ("DONE", 3),
}
"""What an agent does in each attempt, and the status that the task must then have, after this many attempts."""


def rows(count: int) -> list[str]:
    """Return a table of ``count`` tasks; every third waits for the one before it."""
    plans = list(PLANS)
    lines = ["id\tafter\tplan\tpriority"]
    for number in range(count):
        before = number - 1
        waits = number % 3 == 2 and PLANS[plans[before % len(plans)]][0] == "DONE"
        after = f"t{before}" if waits else ""
        lines.append(f"t{number}\t{after}\t{plans[number % len(plans)]}\t{number % 5}")
    return lines


def harass(driver: Driver, kills: int, dice: random.Random) -> Counter[str]:
    """Start polls and a dispatch now and then, and kill them; return how they ended."""
    ended: Counter[str] = Counter()
    longest_s = 0.05
    while ended["killed"] < kills:
        dispatch = not (driver.root / ".agentjobs/scope.json").exists() or dice.random() < 0.1
        pid, read = driver.start(*(("dispatch",) if dispatch else ("poll", "--wait", "1")))
        os.close(read)
        time.sleep(dice.uniform(0, longest_s))
        try:
            (os.killpg if dice.random() < 0.5 else os.kill)(pid, signal.SIGKILL)
        except ProcessLookupError:  # not yet the leader of its group
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        ended["killed" if code < 0 else f"exit {code}"] += 1
        # The longer the polls live the sooner all is done: long enough to reach everything, short enough to last.
        longest_s = dice.choice((0.05, 0.1, 0.2, 0.4))
        if code not in (0, -signal.SIGKILL):
            break
    return ended


def main() -> int:
    """Run campaigns until enough polls were killed; exit 1 if the kills changed how things ended."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("place", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    ended: Counter[str] = Counter()
    began_at = time.monotonic()
    wrong = 0
    for number in range(given.kills):  # on a quick machine all is done before enough were killed: then once more
        place = given.place / str(number)
        more, bad = campaign(place, given.tasks, given.kills - ended["killed"], given.seed + number)
        ended += more
        wrong += bad
        if wrong or ended["killed"] >= given.kills:
            break
    print(f"{dict(ended)} in {time.monotonic() - began_at:.0f} s; {wrong} wrong")
    return 1 if wrong else 0


def campaign(place: Path, tasks: int, kills: int, seed: int) -> tuple[Counter[str], int]:
    """Run one project to its end under kills; return how the polls ended, and how much is wrong."""
    table = rows(tasks)
    place.parent.mkdir(parents=True, exist_ok=True)
    make_project(place, table, slots=6, verify_slots=3, restarts=0)
    driver = Driver(place)
    ended = harass(driver, kills, random.Random(seed))
    code = 0
    for _ in range(POLLS_MAX * 10):
        code, _ = driver.poll(wait_s=5)
        if code:
            break
    driver.release()
    wrong = list(problems(driver, table, code))
    for line in wrong:
        print(f"WRONG {line}")
    if wrong:
        print(driver.log.read_text()[-2000:])
    return ended, len(wrong)


def problems(driver: Driver, table: list[str], code: int) -> list[str]:
    """Return whatever is not as if nobody had been killed."""
    found = []
    if code != 2:
        found.append(f"the last poll exited {code}")
    shown = {row["id"]: row for row in driver.table()}
    starts = Counter(tuple(line.split()[1:3]) for line in driver.starts())
    form = "--format=%(trailers:key=Agentjobs-Task,valueonly,separator=)"
    landed = Counter(driver.git("log", form, "landed").split())
    for line in table[1:]:
        task, _, plan, _ = line.split("\t")
        status, attempts = PLANS[plan]
        row = shown[task]
        if (row["status"], row["attempt"]) != (status, str(attempts)):
            found.append(f"{task} ({plan}) is {row}")
        mine = {attempt: count for (name, attempt), count in starts.items() if name == task}
        if mine != {str(number): 1 for number in range(1, attempts + 1)}:
            found.append(f"{task} ({plan}): starts by attempt {mine}")
        if landed[task] != (status == "DONE"):
            found.append(f"{task} landed {landed[task]} times")
    end = driver.end()
    failed = [name for name in shown if shown[name]["status"] == "FAILED"]
    wanted = {"clashes": [], "active": [], "trees": sorted(failed), "registered": 1 + len(failed), "remembered": True}
    found += [f"{key}: {end[key]}" for key, value in wanted.items() if end[key] != value]
    return found


if __name__ == "__main__":
    sys.exit(main())
