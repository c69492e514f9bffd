"""Observations of running steps: reads the clocks, and keeps what ``elapsed`` makes of them in ``looks.json``."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentjobs.core.elapsed import Looks, Pace, Reading, age_of, gap_before, paced
from agentjobs.disk.files import read_json, write_json
from agentjobs.disk.processes import boot_id
from agentjobs.launch.step import StepFiles, read_record
from agentjobs.model.errors import UserError
from agentjobs.model.steps import Running, Step

if TYPE_CHECKING:
    from pathlib import Path


class Lookout:
    """The observations of one turn.

    The engine sets ``store.lookout`` to it; ``directory`` has those of the last one.
    """

    def __init__(self, directory: Path, wall: float) -> None:
        self._path = directory / "looks.json"
        self.before = read_json(self._path, Looks)
        self._steps: dict[str, tuple[float, Pace]] = {}
        """The pace of each step, and when it was observed (on the clock ``awake``)."""
        self.look(wall)

    def look(self, wall: float) -> None:
        """Read the clocks: a turn may take a while, and meanwhile steps start and print."""
        uptime = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self.now = Reading(wall, time.monotonic(), time.clock_gettime(uptime), boot_id())

    def corrected(self, key: str, step: Step, files: StepFiles) -> Step:
        """Return a running step without the time that does not count: machine asleep, clock set, or not observed."""
        running = step.state
        if not isinstance(running, Running):
            return step
        known = self.before is not None and key in self.before.steps
        age_s = 0.0 if known else age_of(self.now, step.started_at, _began(files))
        pace = paced(self.before, self.now, key, (running.output_at, running.output_bytes), age_s)
        if age_s >= 0:  # a step that started after this look is first seen by the next one
            self._steps[key] = (self.now.awake, pace)
        quiet_at = max(running.output_at, step.started_at)
        asleep_s = self.now.wall - step.started_at - pace.ran_s
        unheard_s = self.now.wall - quiet_at - pace.silent_s
        return replace(step, state=replace(running, asleep_s=asleep_s, unheard_s=unheard_s))

    def save(self) -> None:
        """Save what is known for the next look. If the disk is full, that one knows less."""
        if self._steps or (self.before is not None and self.before.steps):
            steps = {key: _later(pace, self.now.awake - awake) for key, (awake, pace) in self._steps.items()}
            with contextlib.suppress(UserError):
                write_json(self._path, Looks(self.now, gap_before(self.before, self.now) or 0.0, steps))


def _later(pace: Pace, passed_s: float) -> Pace:
    """Return the pace of a step that was last observed some seconds ago, in the same turn."""
    return Pace(pace.ran_s + passed_s, pace.silent_s + passed_s, pace.output)


def _began(files: StepFiles) -> float | None:
    """Return when the runner started, in seconds since this boot, from the kernel's record."""
    record = read_record(files)
    if record is None or record.boot != boot_id() or not record.start.isdecimal():
        return None
    return int(record.start) / os.sysconf("SC_CLK_TCK")
