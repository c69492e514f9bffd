"""Many at once: eight pollers and a dispatch share one project; 32 tasks begin in one go."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.kit.crashing import AGENT, CHECK
from tests.kit.harness import Project

if TYPE_CHECKING:
    from collections.abc import Sequence

POLLERS = 8
SLOTS = 3
VERIFY_SLOTS = 2


def use_shell_agent(project: Project, **settings: object) -> None:
    """Let the agent of tests/kit/crashing.py work here: it reports start, end and overlaps."""
    (project.directory / "busy").mkdir()
    (project.root / "agent.sh").write_text(AGENT)
    (project.root / "check.sh").write_text(CHECK)
    project.configure(
        {
            "profiles": {"default": {"agent": "shell", "verify": ["sh $AGENTJOBS_ROOT/check.sh"]}},
            "agents": {"shell": {"command": ["sh", "{root}/agent.sh"], "resume": ["sh", "{root}/agent.sh"]}},
            **settings,
        }
    )


def ledger(project: Project) -> list[str]:
    path = project.directory / "ledger"
    return path.read_text().splitlines() if path.exists() else []


def agents_begun(project: Project) -> list[str]:
    """Return the tasks with an agent that has started, in that order."""
    return [line.split()[1] for line in ledger(project) if line.startswith("agent ")]


def most_at_once(lines: Sequence[str], began: str, ended: str) -> int:
    """Return how many were between ``began`` and ``ended`` at the same time, by the order of their own lines."""
    now = most = 0
    for line in lines:
        word = line.partition(" ")[0]
        now += (word == began) - (word == ended)
        most = max(most, now)
    return most


def test_eight_pollers_and_a_dispatch_start_nothing_twice(project: Project) -> None:
    plans = ["ok", "nap", "crash nap", "wrong nap", "nap", "linger"]
    use_shell_agent(project, slots=SLOTS, verify_slots=VERIFY_SLOTS)
    project.rows(
        *(
            {"id": f"t{n}", "after": f"t{n - 5}" if n % 6 == 5 else "", "plan": plans[n % 6]}
            for n in range(12)
        )
    )
    gate = project.directory / "gate"
    gate.touch()
    project.dispatch()
    running = [project.start("poll", "--wait", "2") for _ in range(POLLERS)]
    running.append(project.start("dispatch"))
    project.poll_until(lambda: len(agents_begun(project)) == SLOTS)
    gate.unlink()
    codes: Counter[int] = Counter()

    def all_ended() -> bool:
        for process in list(running):
            code = process.poll()
            if code is not None:
                codes[code] += 1
                running.remove(process)
                if code == 0:
                    running.append(project.start("poll", "--wait", "2"))
        return not running

    project.wait_for(all_ended)
    assert set(codes) == {0, 2}, project.story()
    lines = ledger(project)
    assert not [line for line in lines if line.startswith("clash")], "two steps at once in one tree"
    assert most_at_once(lines, "agent", "ended") == SLOTS
    assert 1 <= most_at_once(lines, "check", "checked") <= VERIFY_SLOTS
    starts = Counter(tuple(line.split()[1:3]) for line in lines if line.startswith("agent "))
    assert set(starts.values()) == {1}, f"an attempt was started twice: {starts}"
    assert Counter(task for task, _ in starts) == {f"t{n}": len(plans[n % 6].split()) for n in range(12)}
    assert set(project.statuses().values()) == {"DONE"}, project.story()
    assert sorted(project.landings()) == sorted(project.statuses())


@pytest.mark.slow
def test_32_trees_at_once(project: Project) -> None:
    # One by one, each landing would be merged and checked once more for all that landed before it.
    use_shell_agent(project, slots=32, verify_slots=4, landing={"gate": ["true"], "batch": 32})
    project.plans(**{f"t{n}": "ok" for n in range(32)})
    gate = project.directory / "gate"
    gate.touch()
    pollers = [project.start("dispatch") for _ in range(3)]
    try:
        project.wait_for(lambda: all(p.poll() is not None for p in pollers))
        project.poll_until(lambda: sorted(agents_begun(project)) == sorted(project.statuses()), what="all 32 work")
        assert len(project.git("worktree", "list").splitlines()) == 33
    finally:
        gate.unlink()
        for poller in pollers:
            poller.wait()
    assert project.loop().last == 2
    assert set(project.statuses().values()) == {"DONE"}, project.story()
    assert len(project.landings()) == 32
    assert len(project.git("worktree", "list").splitlines()) == 2, "the project's own, and the gate's"
    assert not list((project.root / ".agentjobs" / "trees").glob("[!.]*"))


@pytest.mark.slow
def test_a_dispatch_with_a_full_house_starts_nothing(project: Project) -> None:
    use_shell_agent(project, slots=2)
    project.plans(a="ok", b="ok", c="ok")
    gate = project.directory / "gate"
    gate.touch()
    try:
        for _ in range(4):
            project.dispatch()
            project.wait_for(lambda: len(agents_begun(project)) >= 2)
        assert len(agents_begun(project)) == 2
    finally:
        gate.unlink()
    assert project.loop().last == 2
    assert most_at_once(ledger(project), "agent", "ended") <= 2
