"""One document out of hundreds of real ones, while it is killed again and again; then it is looked at what came of it.

    python -m tests.knowledge.prove                  267 documents of a package on PyPI, ten kills
    python -m tests.knowledge.prove --kills 40 --seed 7

It happens in .cache/knowledge. The job is templates/knowledge-base, as `agentjobs init` writes it, with its offline
agent. Every second kill takes the running agents with it, as a machine that goes down would.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from agentjobs.model.tasks import Status
from agentjobs.table.table import Table, parse
from agentjobs.tokens.count import count

REPOSITORY = Path(__file__).resolve().parents[2]
PLACE = REPOSITORY / ".cache" / "knowledge"
PROJECT = PLACE / "project"
AGENTJOBS = [sys.executable, "-P", "-m", "agentjobs"]
PACKAGE, VERSION = "Django", "5.2.1"
DIRECTORIES = ("faq", "howto", "internals", "intro", "misc", "ref", "topics")
PHASES = ("analyse", "normalise", "cluster", "digest", "merge", "write", "assemble")
BUDGET, MERGE_BUDGET, FAN_IN = 20_000, 60_000, 5
STEP = 10
"""Tasks that settle between two kills at least."""

LEAST = 180
"""Documents, for it to mean anything."""


def main() -> int:
    """Make the knowledge base; exit 0 if everything is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=10, help="how often it is killed (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments it is killed in (%(default)s)")
    given = parser.parse_args()
    documents = make()
    print(f"{len(documents)} documents of {PACKAGE} {VERSION}, {sum(map(tokens, documents)):,} tokens")
    began = time.monotonic()
    killed = run(given.kills, random.Random(given.seed))
    print(f"done after {time.monotonic() - began:.0f} s and {killed} kills")
    faults = [] if killed == given.kills else [f"it was killed {killed} times, not {given.kills}"]
    faults += looked_at(documents, again=frozenset()) + once_more()
    for fault in faults:
        print(f"WRONG: {fault}")
    return 1 if faults else 0


def make() -> list[str]:
    """Make a project of the template with the documents; return their paths."""
    if PROJECT.exists():
        subprocess.run([*AGENTJOBS, "stop"], cwd=PROJECT, capture_output=True, check=False)
    shutil.rmtree(PROJECT, ignore_errors=True)
    PROJECT.mkdir(parents=True)
    archive = PLACE / f"{PACKAGE.lower()}-{VERSION}.tar.gz"
    if not archive.exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--no-binary", ":all:", "--dest", str(PLACE), f"{PACKAGE}=={VERSION}"],
            check=True,
        )  # fmt: skip
    subprocess.run([*AGENTJOBS, "init", "knowledge-base"], cwd=PROJECT, check=True, capture_output=True)
    shutil.rmtree(PROJECT / "documents")
    with tarfile.open(archive) as packed:
        for member in packed.getmembers():
            parts = Path(member.name).parts
            if member.isfile() and parts[1:2] == ("docs",) and parts[2] in DIRECTORIES and parts[-1].endswith(".txt"):
                path = PROJECT / "documents" / Path(*parts[2:])
                path.parent.mkdir(parents=True, exist_ok=True)
                content = packed.extractfile(member)
                assert content is not None
                path.write_bytes(content.read())
    paths = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "documents").rglob("*.txt"))
    assert len(paths) >= LEAST, len(paths)
    return paths


def run(kills: int, chance: random.Random) -> int:
    """Run the job to its end, killed at random moments; return how often it was killed."""
    subprocess.run([*AGENTJOBS, "dispatch"], cwd=PROJECT, check=True, capture_output=True)
    killed = 0
    while True:
        driver = subprocess.Popen(
            [*AGENTJOBS, "run"], cwd=PROJECT, start_new_session=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        before = settled()
        wait_s = 1200.0
        if killed < kills:  # one kill after another in the middle of the first thing would prove little
            while driver.poll() is None and len(settled()) < len(before) + STEP:
                time.sleep(0.05)
            wait_s = chance.uniform(0, 4)
        try:
            _, stderr = driver.communicate(timeout=wait_s)
        except subprocess.TimeoutExpired:
            before = settled()
            driver.kill()
            driver.communicate()
            killed += 1
            gone = end_all() if killed % 2 == 0 else 0
            print(f"kill {killed}: {len(before)} tasks settled{f', {gone} processes of agents gone' if gone else ''}")
            continue
        assert driver.returncode == 2, stderr.decode()[-2000:]
        return killed


def end_all() -> int:
    """Kill whatever of the project still runs."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("AGENTJOBS_ROOT") == str(PROJECT):
                found.append(process.pid)
        except psutil.Error:
            continue
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return len(found)


def settled() -> set[str]:
    """Return the tasks whose first round is settled, as the facts have it."""
    return {path.parent.name for path in (PROJECT / ".agentjobs" / "attempts").glob("*/settled-1.json")}


def table() -> Table:
    """Read the table."""
    return parse((PROJECT / "tasks.tsv").read_bytes(), "tasks.tsv")


def tokens(source: str) -> int:
    """Count a document, or a part of one, anew."""
    part = re.fullmatch(r"(.*):(\d+)-(\d+)", source)
    text = (PROJECT / (part[1] if part else source)).read_text(encoding="utf-8")
    if part:
        text = "".join(text.splitlines(keepends=True)[int(part[2]) - 1 : int(part[3])])
    return count(text)


def looked_at(documents: list[str], again: frozenset[str]) -> list[str]:
    """Say what is not as it must be. ``again``: phases that were run a second time."""
    found = table()
    rows = [found.row(task_id) for task_id in found.ids]
    phases = Counter(row.profile for row in rows)
    print("tasks:", ", ".join(f"{phases[name]} {name}" for name in PHASES))
    undone = [row for row in rows if row.status is not Status.DONE]
    faults = [f"{row.id} is {row.status.value}: {row.cells.get('note', '')}" for row in undone]

    faults += repeated({row.id: row.profile for row in rows}, again) + planned(phases, again)
    batches = [shlex.split(row.cells["docs"]) for row in rows if row.profile == "analyse"]
    read = Counter(re.sub(r":\d+-\d+$", "", source) for batch in batches for source in set(batch))
    faults += [f"{path} is in no batch" for path in documents if path not in read]
    faults += covered(batches)
    sizes = [sum(map(tokens, batch)) for batch in batches]
    faults += [f"a batch has {size:,} tokens" for size in sizes if size > BUDGET]
    full = sum(sizes) / len(sizes) / BUDGET
    print(f"batches: {len(sizes)}, the largest {max(sizes):,} of {BUDGET:,} tokens, {full:.0%} full")
    faults += levels(found)
    text = (PROJECT / "knowledge-base.md").read_text(encoding="utf-8")
    faults += [f"{path} is not cited" for path in documents if f"[{path}]" not in text]
    return faults


def repeated(profiles: dict[str, str], again: frozenset[str]) -> list[str]:
    """Say which finished work was begun anew: in each round the one attempt that came to something is the last."""
    faults = []
    good = lost = 0
    for task_id, profile in profiles.items():
        outcomes: dict[int, list[str]] = {}
        for place in sorted((PROJECT / ".agentjobs" / "attempts" / task_id).glob("[0-9]*")):
            intent, result = place / "attempt.json", place / "result.json"
            if intent.exists():
                outcome = json.loads(result.read_text())["outcome"] if result.exists() else "without a result"
                outcomes.setdefault(json.loads(intent.read_text())["round"], []).append(outcome)
        rounds = 2 if profile in again else 1
        if len(outcomes) != rounds:
            faults.append(f"{task_id} had {len(outcomes)} rounds, not {rounds}")
        for number, ended in outcomes.items():
            good += ended.count("ok")
            lost += len(ended) - ended.count("ok")
            if ended[-1] != "ok" or "ok" in ended[:-1]:
                faults.append(f"{task_id}, round {number}: its attempts ended as {', '.join(ended)}")
    told = "finished work was REPEATED" if faults else "no finished work repeated"
    print(f"attempts: {good} that came to something, {lost} that were killed; {told}")
    return faults


def planned(phases: Counter[str], again: frozenset[str]) -> list[str]:
    """Say which phase was not planned exactly once for each time it was run, or planned other tasks than there are."""
    faults = []
    for phase in PHASES:
        place = PROJECT / ".agentjobs" / "attempts" / f"+plan.{phase}"
        results = [json.loads(path.read_text()) for path in sorted(place.glob("*/result.json"))]
        runs = sum(result["outcome"] == "ok" for result in results)
        times = 2 if phase in again else 1
        added = sum(json.loads(path.read_text()).get("added", 0) for path in place.glob("*/planned.json"))
        if phase != "merge" and runs != times:  # the tree is planned level by level
            faults.append(f"{phase} was planned {runs} times, not {times}")
        if added != phases[phase]:
            faults.append(f"the plans of {phase} have added {added} tasks, and there are {phases[phase]}")
    return faults


def covered(batches: list[list[str]]) -> list[str]:
    """Say which lines of documents are in no batch, or in two. Blank ones may be left out between parts."""
    lines: dict[str, Counter[int]] = {}
    for source in (source for batch in batches for source in batch):
        part = re.fullmatch(r"(.*):(\d+)-(\d+)", source)
        path = part[1] if part else source
        text = (PROJECT / path).read_text(encoding="utf-8").splitlines(keepends=True)
        taken = range(int(part[2]), int(part[3]) + 1) if part else range(1, len(text) + 1)
        seen = lines.setdefault(path, Counter({at: 0 for at, line in enumerate(text, start=1) if line.strip()}))
        seen.update(at for at in taken if at in seen)
    return [
        f"{path}:{at} is in {times} batches" for path, seen in lines.items() for at, times in seen.items() if times != 1
    ]


def levels(found: Table) -> list[str]:
    """Say what is wrong with the merge tree: each digest is merged once on its way to the one root, level by level."""
    merges = {i: found.row(i) for i in found.ids if found.row(i).profile == "merge"}
    leaves = [i for i in found.ids if found.row(i).profile == "digest"]
    faults = []
    used = Counter(need for row in merges.values() for need in row.after)
    roots = [i for i in merges if not used[i]]
    if len(roots) != 1:
        faults.append(f"the tree has {len(roots)} roots")
    faults += [f"{i} is merged {used[i]} times" for i in [*leaves, *merges] if i not in roots and used[i] != 1]
    for task_id, row in merges.items():
        below = [int(merges[need].cells["level"]) if need in merges else 0 for need in row.after]
        if int(row.cells["level"]) != 1 + max(below):
            faults.append(f"{task_id} is on level {row.cells['level']}, its inputs on {below}")
        if len(row.after) > FAN_IN or sum(map(tokens, shlex.split(row.cells["docs"]))) > MERGE_BUDGET:
            faults.append(f"{task_id} merges too much")
    by_level = Counter(int(row.cells["level"]) for row in merges.values())
    print(f"merge tree: {len(leaves)} digests, then {', '.join(str(by_level[one]) for one in sorted(by_level))}")
    return faults


def once_more() -> list[str]:
    """Run one phase again alone, and say what else was touched."""
    others = [path for path in PROJECT.glob("[a-z]*/*") if path.is_file() and path.parent.name != "sections"]
    before = {path: path.stat().st_mtime_ns for path in others}
    final = (PROJECT / "knowledge-base.md").stat().st_mtime_ns
    subprocess.run([*AGENTJOBS, "retry", "--phase", "write"], cwd=PROJECT, check=True, capture_output=True)
    code = subprocess.run([*AGENTJOBS, "run"], cwd=PROJECT, check=False, capture_output=True).returncode
    faults = [] if code == 2 else [f"run exits {code} after retry --phase"]
    faults += [f"{path} was touched" for path, at in before.items() if path.stat().st_mtime_ns != at]
    if (PROJECT / "knowledge-base.md").stat().st_mtime_ns != final:
        faults.append("the document was put together again, though nobody asked")
    print("one phase again, alone: write")
    documents = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "documents").rglob("*.txt"))
    return faults + looked_at(documents, again=frozenset({"write"}))


if __name__ == "__main__":
    sys.exit(main())
