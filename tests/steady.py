"""Run the tests again and again, and name every test that ever failed.

    python -m tests.steady [--runs 10] [--load 2] [arguments of pytest]

``--load`` starts as many busy loops beside them. What pytest printed is kept in .cache/steady, one file a run.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.kit.harness import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def busy(loops: int) -> Iterator[None]:
    """Keep as many processors busy."""
    running = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def failures(report: Path) -> Iterator[str]:
    """Yield the tests that failed, from a report of pytest in JUnit's form."""
    for case in ET.parse(report).iter("testcase") if report.exists() else ():
        if case.find("failure") is not None or case.find("error") is not None:
            yield f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"


def main() -> int:
    """Repeat; exit 1 if any run was red."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--load", type=int, default=0)
    given, arguments = parser.parse_known_args()
    place = REPOSITORY / ".cache" / "steady"
    place.mkdir(parents=True, exist_ok=True)
    failed: Counter[str] = Counter()
    with busy(given.load):
        for number in range(1, given.runs + 1):
            report, log = place / f"{number}.xml", place / f"{number}.log"
            report.unlink(missing_ok=True)
            began_at = time.monotonic()
            argv = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
            with log.open("wb") as out:
                done = subprocess.run(argv, cwd=REPOSITORY, stdout=out, stderr=subprocess.STDOUT, check=False)
            red = [*failures(report)] or ([f"(pytest itself: exit {done.returncode})"] if done.returncode else [])
            failed.update(red)
            told = f"red ({log}): {' '.join(red)}" if red else "green"
            print(f"run {number} of {given.runs}: {time.monotonic() - began_at:.0f} s, {told}", flush=True)
    for name, count in failed.most_common():
        print(f"{count} of {given.runs}  {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
