"""Plant bugs in a copy of the pure core, one at a time, and see whether its tests find them (``make mutants``).

A test that passes proves little until it is seen to fail. Each bug is one edit of one file; a run without any is
the control. Prints a line a bug and exits 1 when one survives, or when the control fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TESTS = {
    "decide.py": ("test_decide.py", "test_plan.py"),
    "plan.py": ("test_plan.py",),
    "pauses.py": ("test_plan.py",),
    "batches.py": ("test_batches.py",),
    "queue.py": ("test_queue.py",),
    "taskfile.py": ("test_taskfile.py",),
}

BUGS: tuple[tuple[str, str, str], ...] = (
    # decide: steps
    ("decide.py", "if agent is not None and not isinstance(agent.phase, Prepared):", "if isinstance(agent and agent.phase, Exited):"),
    ("decide.py", "return Conclude(Outcome.STOPPED if _stopped(setup) else Outcome.INFRA)", "return Launch('agent', StepKind.AGENT)"),
    ("decide.py", "            return Conclude(Outcome.STOPPED if _stopped(setup)", "            pass\n        if False:\n            return Conclude(Outcome.STOPPED if _stopped(setup)"),
    ("decide.py", "if attempt.end.outcome is not Outcome.OK:", "if attempt.end.outcome is Outcome.CRASHED:"),
    ("decide.py", "    if check.kill is not None:\n        return Conclude(failed)\n", ""),
    ("decide.py", "if isinstance(check.phase, Exited) and check.phase.code == 0:", "if isinstance(check.phase, Exited):"),
    ("decide.py", "if runs >= CHECK_RUNS_MAX:", "if runs > CHECK_RUNS_MAX:"),
    ("decide.py", '        return Launch(f"{check.kind.value}-{len(same) + 1}", check.kind)', "        return Launch(check.kind.value, check.kind)"),
    ("decide.py", ">= GATE_RUNS_MAX:", ">= 10 * GATE_RUNS_MAX:"),
    ("decide.py", "if running.output_bytes > limits.output_bytes:", "if running.output_bytes < 0:"),
    ("decide.py", "quiet_at = max(running.output_at, step.started_at)", "quiet_at = running.output_at"),
    ("decide.py", "due, why = min(deadlines)", "due, why = max(deadlines)"),
    ("decide.py", '"hung" if running.finished else "timeout"', '"timeout"'),
    ("decide.py", "due = kill.at + policy.limits.stop_grace_s * kill.sent", "due = kill.at"),
    ("decide.py", "hard=kill.sent >= len(", "hard=kill.sent > len("),
    # decide: people
    ("decide.py", "if not task.in_play and not landed:", "if not task.in_play:"),
    ("decide.py", "if not task.in_play and not landed:", "if not task.in_play and last is None:"),
    ("decide.py", "    if not isinstance(stopping, Wait) or stopping.until:\n        return stopping\n", ""),
    # decide: layers
    ("decide.py", "interrupted <= retry.resumes:", "interrupted <= retry.resumes + 1:"),
    ("decide.py", "if result.at <= now < due:", "if now < due:"),
    ("decide.py", "if result.at <= now < due:", "if due < now:"),
    ("decide.py", "2.0 ** min(interrupted - 1, 6)", "2.0 ** (interrupted - 1)"),
    ("decide.py", "if wrong + max(0, interrupted - retry.resumes) <= retry.repairs:", "if wrong <= retry.repairs:"),
    ("decide.py", "if uncounted > UNSPENT_MAX:", "if uncounted < 0:"),
    ("decide.py", "if last.intent.restarts >= policy.retry.restarts:", "if last.intent.restarts > policy.retry.restarts:"),
    ("decide.py", "last.intent.restarts + (mode is Mode.RESTART and not again)", "last.intent.restarts + (mode is Mode.RESTART)"),
    ("decide.py", "mode, fresh = last.intent.mode, True", "mode, fresh = Mode.RESUME, True"),
    ("decide.py", "if full >= CONTEXT_FULL_MAX:", "if full > CONTEXT_FULL_MAX:"),
    ("decide.py", "if newest.tree and any(", "if any("),
    ("decide.py", "spent = task.earlier + sum(", "spent = sum("),
    ("decide.py", "if a.intent.restarts == restarts)", "if True)"),
    ("decide.py", "and started and not lost)", "and started)"),
    # plan
    ("plan.py", "free = self.policy.slots - self.agents", "free = self.policy.slots"),
    ("plan.py", "if last.end is None:", "if not last.steps:"),
    ("plan.py", "        free = self.policy.verify_slots - self.checks\n        for _, task, land in", "        free = self.policy.verify_slots\n        for _, task, land in"),
    ("plan.py", "        free = self.policy.verify_slots - self.checks\n        for _, task, launch in", "        free = self.policy.verify_slots\n        for _, task, launch in"),
    ("plan.py", "            self.gating = True\n", ""),
    ("plan.py", "self.gating = self.gating or check.kind is StepKind.GATE", "pass"),
    ("plan.py", "        if self._bad_news():\n            self.starving = False\n        elif halt is None", "        if halt is None"),
    ("plan.py", "elif halt is None and not short:", "elif not short:"),
    ("plan.py", "elif halt is None and not short:", "elif halt is None:"),
    ("plan.py", "bool(self.begins or self.deferred)", "bool(self.begins)"),
    ("plan.py", "any(entry != first for entry in tally[:wanted])", "all(entry != first for entry in tally[:wanted])"),
    ("plan.py", "            due = pause.until\n", ""),
    ("plan.py", "interval = max(interval, CAREFUL_INTERVAL_S)", "pass"),
    ("plan.py", "due = max(due, self._probe_until(pause))", "pass"),
    ("plan.py", "if self.board.last_start_at > self.now:", "if False:"),
    ("plan.py", "            self.until = min(self.until, due)\n            return\n        if self.board.free_memory", "            pass\n        if self.board.free_memory"),
    # plan: batches
    ("plan.py", "and (self.board.gating or self.board.asked)", "and self.board.asked"),
    ("plan.py", "and (self.board.gating or self.board.asked)", "and self.board.gating"),
    ("plan.py", "            case Begin() if self._gate_first(last):", "            case Begin() if False:"),
    ("plan.py", "self.alive = self.alive or self.board.halt is None or self.board.halt.why != LANDING", "self.alive = True"),
    ("plan.py", "len(waiting) >= landing.batch or early", "early"),
    ("plan.py", "or early or self.now >= until", "or self.now >= until"),
    ("plan.py", "self.starving and not coming", "self.starving"),
    ("plan.py", "waiting[: landing.batch]", "waiting"),
    ("plan.py", "(self.board.asked and self._held())", "False"),
    # batches
    ("batches.py", "if id_ in case.ids}", "}"),
    ("batches.py", "(*case.ids, *case.others, *case.accused) if i not in owned", "case.ids if i not in owned"),
    ("batches.py", "if case.probe is Probe.HALF and len(left) == 1:", "if case.probe is Probe.HALF and left:"),
    ("batches.py", "    if case.probe is Probe.BATCH:\n        again", "    if False:\n        again"),
    ("batches.py", "        return Verdict(landed=True, follow=halve(left, (), case.errors, proved=True))", "        return Verdict(landed=True)"),
    ("batches.py", "follow=_anew(case.others, proved=True))\n    return", "follow=None)\n    return"),
    ("batches.py", "    if case.proved:\n        blamed", "    if True:\n        blamed"),
    ("batches.py", "    if case.probe is not Probe.ALONE and cleared:", "    if False:"),
    ("batches.py", "    if case.probe is Probe.TIP:\n        return Verdict(red_tip", "    if False:\n        return Verdict(red_tip"),
    ("batches.py", "ids = (*suspects[:half], *cleared)", "ids = suspects[:half]"),
    ("batches.py", "others=suspects[half:]", "others=()"),
    ("batches.py", "    if all(id_ in waiting for id_ in case.names):", "    if all(id_ in waiting for id_ in case.ids):"),
    ("plan.py", "room = min(free, 1) if careful else free", "room = free"),
    ("plan.py", "room = min(room, limit - self.board.spent.attempts)", "pass"),
    ("plan.py", "if begun < room and not _meets(task.row.files, held):", "if begun < room:"),
    ("plan.py", "                held.append(task.row.files)\n", ""),
    ("plan.py", "                claims.append(row.files)\n", ""),
    ("plan.py", "if t.in_play and t.row.id not in idle", "if t.in_play"),
    ("plan.py", "return all(task.last is not None and task.last.intent.restarts > 0 for task in others)", "return True"),
    ("plan.py", "failed >= DIAGNOSE_MIN and share >", "share >"),
    ("plan.py", "if not swept and", "if"),
    ("plan.py", "return value > 0 and p * value >= history.cost", "return True"),
    ("plan.py", "(own.escalate if own else None) or task.row.profile", "task.row.profile"),
    ("pauses.py", "news = pause is not None and started_at > pause.at", "news = pause is not None and started_at >= pause.at"),
    ("pauses.py", "pause.outcome is not outcome and pause.until > until:", "False:"),
    ("pauses.py", "(not news or pause.until > now)", "not news"),
    ("pauses.py", "until = max(until, pause.until)", "pass"),
    ("pauses.py", "min(600.0, 15.0 * 2.0 ** min(count - 1, 10))", "min(600.0, 15.0 * 2.0 ** (count - 1))"),
    # queue
    ("queue.py", "        rank = -", "        rank = "),
    ("queue.py", "if status is not Status.TODO or", "if status is Status.DONE or"),
    ("queue.py", "or task_id in active or", "or"),
    ("queue.py", "return all(self._statuses.get(n) is Status.DONE", "return any(self._statuses.get(n) is Status.DONE"),
    ("queue.py", "if key[2] in self._taken or key[2] in seen:", "if key[2] in seen:"),
    ("queue.py", "if key[2] in self._taken or key[2] in seen:", "if key[2] in self._taken:"),
    ("queue.py", "                if key[2] not in self._taken:\n                    heapq", "                if False:\n                    heapq"),
    ("queue.py", "if not waits or need in on_path:", "if not waits:"),
    ("queue.py", "or need in unsettled:", "or False:"),
    # taskfile
    ("taskfile.py", "human_edits(known, self.table) if moved", "human_edits(self.base, self.table) if moved"),
    ("taskfile.py", "                    self._edits = human_edits(self.base, self.table)\n", "                    pass\n"),
    ("taskfile.py", 'if not (c == "status" and task_id in theirs)', "if True"),
    ("taskfile.py", "{**cells, **self.pending.get(task_id, {})}", "{**self.pending.get(task_id, {}), **cells}"),
    ("taskfile.py", "                if _identity(temporary) != self._seen:", "                if False:"),
    ("taskfile.py", "temporary.chmod(mode)", "pass"),
)  # fmt: skip


def found(number: int, bug: tuple[str, str, str] | None) -> str:
    """Plant a bug and run the tests: "found", "SURVIVED", or what went wrong with the planting."""
    with tempfile.TemporaryDirectory(prefix="agentjobs-bugs-") as directory:
        root = Path(directory)
        for name in ("agentjobs", "tests"):
            shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "data"))
        shutil.copy(REPOSITORY / "pyproject.toml", root)
        tests = sorted({test for each in TESTS.values() for test in each})
        if bug is not None:
            path = root / "agentjobs" / bug[0]
            text = path.read_text()
            if text.count(bug[1]) != 1:
                return f"NOT PLANTED ({text.count(bug[1])} places)"
            path.write_text(text.replace(bug[1], bug[2]))
            tests = list(TESTS[bug[0]])
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *(f"tests/{test}" for test in tests)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": directory, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            check=False,
        )
    if bug is None:
        return "passed" if done.returncode == 0 else f"FAILED\n{done.stdout.decode()[-2000:]}"
    return {0: "SURVIVED", 1: "found"}.get(done.returncode, f"BROKEN (pytest exit {done.returncode})")


def main() -> int:
    """Run the control and all bugs, or those whose numbers are given."""
    wanted = [int(word) for word in sys.argv[1:]] or range(len(BUGS) + 1)
    planted: list[tuple[int, tuple[str, str, str] | None]] = [(n, BUGS[n - 1] if n else None) for n in wanted]
    bad = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (number, bug), verdict in zip(planted, pool.map(lambda pair: found(*pair), planted), strict=True):
            where = f"{bug[0]}: {' '.join(bug[1].split())[:70]} -> {' '.join(bug[2].split())[:40]}" if bug else "no bug"
            bad += verdict not in {"found", "passed"}
            print(f"{number:3} {verdict:9} {where}", flush=True)
    print(f"{bad} of {len(planted)} not as they should be")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
