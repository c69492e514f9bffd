"""read_steps.py: what is read once is what a new reader reads, whatever has happened in the directory since."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest

from agentjobs.launch.step import Exit, Record
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import Kill, KillReason, Prepare, Running
from agentjobs.project.store import Store
from tests.kit.builders import attempt as built

if TYPE_CHECKING:
    from pathlib import Path

STEPS = ("setup", "agent", "verify", "verify-2", "gate")


def facts(chance: random.Random) -> dict[str, msgspec.Struct]:
    """Return facts as they may be written, by name, each time with other content."""
    made = built(end=Outcome.OK, result=Outcome.OK)
    number = chance.randrange(1000)
    assert made.end is not None
    found: dict[str, msgspec.Struct] = {
        "attempt.json": msgspec.structs.replace(made.intent, why=f"{number}"),
        "agent.end.json": msgspec.structs.replace(made.end, detail=f"{number}"),
    }
    for step in STEPS:
        found[f"{step}.json"] = Record(number, "1", "", "mark")
        found[f"{step}.exit.json"] = Exit(number)
        found[f"{step}.kill.json"] = Kill(KillReason.STOPPED, float(number))
        found[f"{step}.kill-2.json"] = Kill(KillReason.STOPPED, float(number))
        found[f"{step}.plan.json"] = Prepare(f"{number}", "", ("true",), 1.0)
    return found


@pytest.mark.parametrize("seed", range(30))
def test_it_reads_what_a_new_reader_reads(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    store = Store(tmp_path)
    directory = store.attempt_dir("t1", 1)
    held: dict[str, int] = {}
    seen = 0
    for _ in range(60):
        directory.mkdir(parents=True, exist_ok=True)
        fresh = facts(chance)
        if not (directory / "attempt.json").exists():
            (directory / "attempt.json").write_bytes(msgspec.json.encode(fresh["attempt.json"]))
        step = chance.choice(STEPS)
        over = (directory / f"{step}.exit.json").exists() and step not in held
        mine = [name for name in fresh if name.startswith(f"{step}.")]
        name = chance.choice([f"{step}.exit.json"] if over else [*mine, "attempt.json", "agent.end.json"])
        match chance.choice(["write", "write", "write", "damage", "delete", "run", "end", "log", "all"]):
            case "write":
                (directory / f"{name}~").write_bytes(msgspec.json.encode(fresh[name]))
                if not (directory / name).exists():  # a fact is written once
                    (directory / f"{name}~").rename(directory / name)
            case "damage":
                if not (directory / name).exists():
                    (directory / name).write_bytes(b"{")
            case "delete":
                (directory / name).unlink(missing_ok=True)
            case "run" if step not in held and not over:
                held[step] = os.open(directory / f"{step}.lock", os.O_RDWR | os.O_CREAT)
                fcntl.flock(held[step], fcntl.LOCK_EX)
            case "end" if step in held:
                os.close(held.pop(step))
            case "log" if not over:
                (directory / f"{step}.log").write_text("x" * chance.randrange(100))
            case "all" if chance.random() < 0.2:
                for descriptor in held.values():
                    os.close(descriptor)
                held.clear()
                shutil.rmtree(directory.parent)
                assert store.attempt("t1", 1) is None
        found = store.attempt("t1", 1)
        assert found == Store(tmp_path).attempt("t1", 1)
        seen += found is not None and any(not isinstance(step.state, Running) for step in found.steps)
    for descriptor in held.values():
        os.close(descriptor)
    assert seen
