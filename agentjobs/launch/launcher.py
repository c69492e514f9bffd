"""How the other rooms start a step, see its state, wait for it, signal it, kill it, and kill what it left behind.

Every step is a process of this machine so far. No other room names where a step runs: that is chosen here.
"""

from __future__ import annotations

from agentjobs.launch.local import hard_kill, signal_group, start, state_of, wait_any
from agentjobs.launch.reap import alive, kill_leftovers, marks_of, runs_elsewhere
from agentjobs.launch.step import is_held
from agentjobs.launch.unmarked_processes import Place, occupied

__all__ = [
    "Place",
    "alive",
    "hard_kill",
    "is_held",
    "kill_leftovers",
    "marks_of",
    "occupied",
    "runs_elsewhere",
    "signal_group",
    "start",
    "state_of",
    "wait_any",
]
