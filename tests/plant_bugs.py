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
    "core/decide.py": ("core/test_decide.py", "core/test_schedule.py"),
    "core/repetition.py": ("core/test_decide.py", "core/test_schedule.py", "core/test_watchdog.py"),
    "core/steps.py": ("core/test_decide.py", "core/test_phases.py"),
    "core/watchdog.py": ("core/test_decide.py", "core/test_watchdog.py"),
    "core/breaker.py": ("core/test_schedule.py",),
    "core/start_over.py": ("core/test_schedule.py",),
    "core/schedule.py": ("core/test_schedule.py",),
    "core/start_over_pays.py": ("core/test_schedule.py",),
    "core/pauses.py": ("core/test_schedule.py",),
    "core/accounts.py": ("core/test_schedule.py",),
    "core/gate.py": ("core/test_gate.py", "core/test_decide.py"),
    "core/ready_rows.py": ("core/test_ready_rows.py",),
    "table/file.py": ("table/test_file.py",),
    "run/landing/gate_output.py": ("run/landing/test_one_by_one.py",),
    "run/landing/new_runs.py": ("run/landing/test_one_by_one.py",),
    "project/read_steps.py": ("project/test_read_steps.py",),
    "workspace/differences.py": ("workspace/test_differences.py",),
    "workspace/writes.py": ("workspace/test_writes.py",),
    "workspace/worktree_admin.py": ("workspace/test_worktree_admin.py",),
}

BUGS: tuple[tuple[str, str, str], ...] = (
    # what is read or done once
    ("project/read_steps.py", "self._facts.pop(name, None)", "pass"),
    ("project/read_steps.py", 'self._ended.items() if f"{name}.exit.json" in present}', "self._ended.items()}"),
    ("workspace/differences.py", 'staged |= words[1][:1] != b"."', "staged |= False"),
    ("workspace/differences.py", "new_mode == GITLINK != old_mode", "False"),
    ("workspace/differences.py", "ok=(0, 128)) if not ours else None", "ok=(0, 128))"),
    ("workspace/writes.py", "            git.close()\n            raise", "            raise"),
    ("workspace/writes.py", "            if now != old:\n                return False\n", ""),
    ("workspace/worktree_admin.py", 'b"[extensions" not in settings and ', ""),
    ("workspace/worktree_admin.py", "not _NAME.fullmatch(tree_dir.name) or ", ""),
    # one step
    ("core/steps.py", "    if isinstance(runs[-1].state, Prepared):", "    if isinstance(runs[-1].state, Prepared | Lost):"),
    ("core/steps.py", "return None if found is Ended.PASSED else concluded(found, Outcome.INFRA)", "return None"),
    ("core/steps.py", "    if step.kill is not None:\n", "    if step.kill is not None and not isinstance(step.state, Exited):\n"),
    ("core/steps.py", "    if check.checks > 1 and check.seen is None and attempt.intent.base:\n        return Look(check.name)\n", ""),
    ("core/steps.py", "if check.rest or (check.seen is not None and check.seen.changed):", "if check.rest:"),
    ("core/steps.py", "if check.rest or (check.seen is not None and check.seen.changed):", "if check.seen is not None and check.seen.changed:"),
    ("core/steps.py", "    if found is not Ended.PASSED:\n        return found\n    check", "    if runs:\n        return found\n    check"),
    ("core/gate.py", "found = next_check(run, StepKind.GATE)", "found = next_run(run.runs(StepKind.GATE), StepKind.GATE)"),
    ("core/decide.py", "wanted = setup or attempt.step(SETUP_AGAIN)", "wanted = attempt.step(SETUP_AGAIN)"),
    ("core/decide.py", "wanted = setup or attempt.step(SETUP_AGAIN)", "wanted = setup"),
    ("core/decide.py", "if attempt.end.outcome is not Outcome.OK:", "if attempt.end.outcome is Outcome.CRASHED:"),
    ("core/steps.py", "Ended.STOPPED if step.kill.why is KillReason.STOPPED else Ended.KILLED", "Ended.STOPPED"),
    ("core/steps.py", "isinstance(step.state, Exited) and step.state.code == 0 else", "isinstance(step.state, Exited) else"),
    ("core/steps.py", "lost < runs_max else how", "lost <= runs_max else how"),
    ("core/steps.py", 'return Launch(f"{kind.value}-{len(runs) + 1}", kind)', "return Launch(kind.value, kind)"),
    ("core/decide.py", "found = next_check(attempt, StepKind.VERIFY)  #", "found = next_check(attempt, StepKind.GATE if attempt.first(StepKind.GATE) else StepKind.VERIFY)  #"),
    ("core/watchdog.py", "if running.output_bytes > limits.output_bytes:", "if running.output_bytes < 0:"),
    ("core/watchdog.py", "quiet_at = max(running.output_at, step.started_at)", "quiet_at = running.output_at"),
    ("core/watchdog.py", "due, why = min(deadlines)", "due, why = max(deadlines)"),
    ("core/watchdog.py", "KillReason.NOT_EXITING if running.finished else KillReason.TIMEOUT", "KillReason.TIMEOUT"),
    ("core/watchdog.py", "due = kill.at + policy.limits.stop_grace_s * kill.sent", "due = kill.at"),
    ("core/watchdog.py", "hard = kill.sent >= len(", "hard = kill.sent > len("),
    # decide: people
    ("core/decide.py", "if not task.in_play and not landed:", "if not task.in_play:"),
    ("core/decide.py", "if not task.in_play and not landed:", "if not task.in_play and last is None:"),
    ("core/decide.py", "    if not isinstance(stopping, Wait) or stopping.until:\n        return stopping\n", ""),
    # decide: layers
    ("core/decide.py", "interrupted <= retry.resumes:", "interrupted <= retry.resumes + 1:"),
    ("core/decide.py", "if result.at <= now < due:", "if now < due:"),
    ("core/decide.py", "if result.at <= now < due:", "if due < now:"),
    ("core/decide.py", "2.0 ** min(interrupted - 1, 6)", "2.0 ** (interrupted - 1)"),
    ("core/decide.py", "if wrong + max(0, interrupted - retry.resumes) <= retry.repairs:", "if wrong <= retry.repairs:"),
    ("core/decide.py", "if uncounted > UNSPENT_MAX or probes > PROBES_MAX:", "if probes > PROBES_MAX:"),
    ("core/decide.py", "if uncounted > UNSPENT_MAX or probes > PROBES_MAX:", "if uncounted > UNSPENT_MAX:"),
    ("core/decide.py", "uncounted = len(again) - probes", "uncounted = len(again)"),
    ("core/decide.py", "if inside or last.intent.restarts >= policy.retry.restarts:", "if inside or last.intent.restarts > policy.retry.restarts:"),
    ("core/decide.py", "last.intent.restarts + (mode is Mode.RESTART and not again)", "last.intent.restarts + (mode is Mode.RESTART)"),
    ("core/decide.py", "mode, fresh = last.intent.mode, True", "mode, fresh = Mode.RESUME, True"),
    ("core/decide.py", "if full >= CONTEXT_FULL_MAX:", "if full > CONTEXT_FULL_MAX:"),
    ("core/repetition.py", "if newest.tree and any(", "if any("),
    ("core/decide.py", "spent = task.earlier + void + sum(", "spent = void + sum("),
    ("core/decide.py", "if attempt.intent.restarts == restarts)", "if True)"),
    ("core/decide.py", "and has_begun(attempt) and not lost)", "and has_begun(attempt))"),
    ("core/decide.py", "if mode in FRESH and has_begun(last):", "if False:"),
    ("core/decide.py", "if mode in FRESH and has_begun(last):", "if mode in FRESH:"),
    # plan
    ("core/schedule.py", "may=may and not self.paused", "may=may"),
    ("core/schedule.py", "        if may and not self.paused:\n", "        if may:\n"),
    ("core/schedule.py", "if self.paused and isinstance(found, Launch) and found.name == FIRST:", "if False:"),
    ("core/schedule.py", "(bool(waiting) or self.paused)", "bool(waiting)"),
    ("core/schedule.py", "min(self.until, self.board.paused_until) if self.paused and alive else self.until", "self.until"),
    ("core/schedule.py", "free = self.policy.slots - self.agents", "free = self.policy.slots"),
    ("core/schedule.py", "if last.end is None or any(", "if not last.steps or any("),
    ("core/schedule.py", "        free = self.policy.verify_slots - self.checks\n        for _, task, launch in", "        free = self.policy.verify_slots\n        for _, task, launch in"),
    ("core/schedule.py", "        elif self.checks < self.policy.verify_slots:", "        else:"),
    ("core/schedule.py", "if self.board.gating or not (self.lands", "if not (self.lands"),
    ("core/schedule.py", "news = bad_news(self.policy, self.board.tasks, self.actions)", "news: set[str] = set()"),
    ("core/schedule.py", "min(room, self._room_for_rows())", "room"),
    ("core/schedule.py", ' == "none" or self.held_until:', ' == "none":'),
    ("core/schedule.py", "self.policy.slots + landing.together - behind", "self.policy.slots - behind"),
    ("core/schedule.py", "        if news:\n            self.starving = False\n", ""),
    ("core/schedule.py", "may = halt is None and not short", "may = not short"),
    ("core/schedule.py", "may = halt is None and not short", "may = halt is None"),
    ("core/schedule.py", "bool(waiting or self.deferred or (self.paused and self.doubts))", "bool(waiting)"),
    ("core/breaker.py", "any(entry != first for entry in tally[:wanted])", "all(entry != first for entry in tally[:wanted])"),
    ("core/schedule.py", "if self.board.last_start_at > self.now:", "if False:"),
    ("core/schedule.py", "if self.now < due or len(later) == len(waiting):", "if len(later) == len(waiting):"),
    ("core/schedule.py", "        self.until = min([self.until, *(at for at in later if at > self.now)])\n        if", "        if"),
    ("core/accounts.py", "if agents else RUN)", "if agents else account_of(policy, attempt.intent.agent))"),
    ("core/schedule.py", "        idle |= {", "        {"),
    ("core/schedule.py", "before, after = self._in_turn()", "before, after = self.begins, []"),
    ("core/schedule.py", "(accounts.count(account) == 1 and self", "(self"),
    ("core/schedule.py", "if not self.gate.may_begin(account) or (context :=", "if (context :="),
    ("core/schedule.py", "probe=self.gate.is_wary(account)", "probe=False"),
    ("core/schedule.py", "short = self.gate.stuck(waiting)", "short = ''"),
    ("core/schedule.py", "found, waiting = self._start_over()", "found, _ = self._start_over()"),
    # accounts
    ("core/accounts.py", "(found.account if found is not None else None) or agent", "agent"),
    ("core/accounts.py", "policy.profiles.get(profile) or policy.profiles.get(row.profile)", "policy.profiles.get(row.profile)"),
    ("core/accounts.py", "max(self._opens.get(account, 0.0), self._opens.get(RUN, 0.0))", "self._opens.get(account, 0.0)"),
    ("core/accounts.py", "self._busy |= {account, RUN} & self._pauses.keys()", "pass"),
    ("core/accounts.py", "self._busy |= {account, RUN} & self._pauses.keys()", "self._busy |= {account} & self._pauses.keys()"),
    ("core/accounts.py", "any(self.opens_at(name) < math.inf", "all(self.opens_at(name) < math.inf"),
    ("core/accounts.py", "        due = pause.until\n", "        due = 0.0\n"),
    ("core/accounts.py", "pause.outcome is not Outcome.OVERLOADED and not pause.passed", "pause.outcome is not Outcome.OVERLOADED"),
    ("core/accounts.py", "pause.at < a.intent.started_at <= self._now", "pause.at < a.intent.started_at"),
    ("core/accounts.py", "pause.at < a.intent.started_at <= self._now", "a.intent.started_at <= self._now"),
    ("core/accounts.py", "if not any(self._got_past(attempt, pause) for attempt in since):", "if True:"),
    ("core/accounts.py", "due = max(due, min(probes, default=0.0))", "pass"),
    ("core/accounts.py", "max(due, last + CAREFUL_INTERVAL_S) if last <= self._now else due", "due"),
    ("core/accounts.py", ' and attempt.end.outcome.rules.served != "no"', ""),
    ("core/accounts.py", "    if step is None or not isinstance(step.state, Running):\n", "    if step is None:\n        return attempt.intent.started_at + PROBE_S\n    if not isinstance(step.state, Running):\n"),
    # plan: batches
    ("core/schedule.py", "and (self.board.gating or self.board.asked)", "and self.board.asked"),
    ("core/schedule.py", "and (self.board.gating or self.board.asked)", "and self.board.gating"),
    ("core/schedule.py", "            case Begin() if self._gate_first(last):", "            case Begin() if False:"),
    ("core/schedule.py", "                self.alive = self.alive or self.held_until < math.inf\n", "                self.alive = True\n"),
    ("core/schedule.py", "len(waiting) >= landing.together or early", "early"),
    ("core/schedule.py", "or early or self.now >= until", "or self.now >= until"),
    ("core/schedule.py", "self.starving and not coming", "self.starving"),
    ("core/schedule.py", "waiting[: landing.together]", "waiting"),
    ("core/schedule.py", "(self.board.asked and self._held())", "False"),
    # batches
    ("core/gate.py", "case.probe in {Probe.BATCH, Probe.SINGLE} and not case.suspects", "case.probe is Probe.BATCH"),
    ("core/gate.py", "case.probe in {Probe.BATCH, Probe.SINGLE} and not case.suspects", "case.probe in {Probe.BATCH, Probe.SINGLE}"),
    ("run/landing/gate_output.py", "return dict.fromkeys(owned, failed.shown), failed.shown", "return {}, failed.shown"),
    ("run/landing/new_runs.py", "(case.proved and same) or not self.project.policy.landing.gate", "(case.proved and same)"),
    ("core/gate.py", "if id_ in case.ids}", "}"),
    ("core/gate.py", "(*case.ids, *case.others, *case.accused) if i not in owned", "case.ids if i not in owned"),
    ("core/gate.py", "if case.probe is Probe.HALF and len(left) == 1:", "if case.probe is Probe.HALF and left:"),
    ("core/gate.py", "case.probe in {Probe.BATCH, Probe.SINGLE} and not case.suspects", "False"),
    ("core/gate.py", "        return Verdict(landed=True, follow=halve(left, (), case.errors, proved=True))", "        return Verdict(landed=True)"),
    ("core/gate.py", "follow=_anew(case.others, proved=True))\n    again", "follow=None)\n    again"),
    ("core/gate.py", "    if case.proved:\n        blamed", "    if True:\n        blamed"),
    ("core/gate.py", "    if case.probe is not Probe.ALONE and cleared:", "    if False:"),
    ("core/gate.py", "    if case.probe is Probe.TIP:\n        return Verdict(red_tip", "    if False:\n        return Verdict(red_tip"),
    ("core/gate.py", "ids = (*suspects[:half], *cleared)", "ids = suspects[:half]"),
    ("core/gate.py", "others=suspects[half:]", "others=()"),
    ("core/gate.py", "    if all(id_ in waiting for id_ in case.names):", "    if all(id_ in waiting for id_ in case.ids):"),
    ("core/schedule.py", "room = min(free, 1) if staggered else free", "room = free"),
    ("core/schedule.py", "room = min(room, limit - self.board.spent.attempts)", "pass"),
    ("core/schedule.py", "if begun < room and not _meets(task.row.files, held) and", "if begun < room and"),
    ("core/schedule.py", "                held.append(task.row.files)\n", ""),
    ("core/schedule.py", "                claims.append(row.files)\n", ""),
    ("core/schedule.py", "if t.in_play and t.row.id not in idle", "if t.in_play"),
    ("core/start_over_pays.py", "return all(task.last is not None and task.last.intent.restarts > 0 for task in others)", "return True"),
    ("core/start_over.py", "failed >= DIAGNOSE_MIN and share >", "share >"),
    ("core/start_over.py", "if not swept and", "if"),
    ("core/start_over_pays.py", "return value > 0 and p * value >= history.cost", "return True"),
    ("core/start_over.py", "(own.escalate if own else None) or task.row.profile", "task.row.profile"),
    ("core/pauses.py", "news = pause is not None and started_at > pause.at", "news = pause is not None and started_at >= pause.at"),
    ("core/pauses.py", "if pause is not None and known is None and pause.until > until:", "if False:"),
    ("core/pauses.py", "or started_at <= pause.at or pause.until > now:", "or started_at <= pause.at:"),
    ("core/pauses.py", "or started_at <= pause.at or pause.until > now:", "or pause.until > now:"),
    ("core/pauses.py", 'pause is None or outcome.rules.served == "no" or', "pause is None or"),
    ("core/pauses.py", 'return None if outcome.rules.served == "yes" else replace(pause, passed=True)', "return None"),
    ("core/pauses.py", "replace(pause, until=max(pause.until, reset_at)) if outcome is Outcome.LIMIT else pause", "pause"),
    ("core/pauses.py", "stuck = count > REFUSALS_MAX or count >= (outcome.rules.refusals_max or count + 1)", "stuck = False"),
    ("core/pauses.py", "if outcome is Outcome.UNREACHABLE or count > 1:", "if outcome is Outcome.UNREACHABLE or count > 99:"),
    ("core/pauses.py", "if result.outcome is Outcome.INFRA and (end is None or end.outcome is not Outcome.INFRA):", "if result.outcome is Outcome.INFRA:"),
    ("core/pauses.py", "if found is not None and found.stuck:", "if False:"),
    ("core/pauses.py", "at=min(pause.at, now), count=count", "at=now, count=count"),
    ("core/pauses.py", "until = max(until, known.until)", "pass"),
    ("core/pauses.py", "min(600.0, 15.0 * 2.0 ** min(count - 1, 10))", "min(600.0, 15.0 * 2.0 ** (count - 1))"),
    # queue
    ("core/ready_rows.py", "        rank = -", "        rank = "),
    ("core/ready_rows.py", "if status is not Status.TODO or", "if status is Status.DONE or"),
    ("core/ready_rows.py", "or task_id in active or", "or"),
    ("core/ready_rows.py", "return all(self._statuses.get(n) is Status.DONE", "return any(self._statuses.get(n) is Status.DONE"),
    ("core/ready_rows.py", "if key[2] in self._taken or key[2] in seen:", "if key[2] in seen:"),
    ("core/ready_rows.py", "if key[2] in self._taken or key[2] in seen:", "if key[2] in self._taken:"),
    ("core/ready_rows.py", "                if key[2] not in self._taken:\n                    heapq", "                if False:\n                    heapq"),
    ("core/ready_rows.py", "if heap and profile not in closed]", "if heap]"),
    ("core/ready_rows.py", "if not waits or need in on_path:", "if not waits:"),
    ("core/ready_rows.py", "or need in unsettled:", "or False:"),
    # taskfile
    ("table/file.py", "human_edits(known, self.table) if moved", "human_edits(self.base, self.table) if moved"),
    ("table/file.py", "                    self._edits = human_edits(self.base, self.table)\n", "                    pass\n"),
    ("table/file.py", 'if not (c == "status" and task_id in theirs)', "if True"),
    ("table/file.py", "{**cells, **self.pending.get(task_id, {})}", "{**self.pending.get(task_id, {}), **cells}"),
    ("table/file.py", "                if _identity(temporary) != self._seen:", "                if False:"),
    ("table/file.py", "temporary.chmod(mode)", "pass"),
)  # fmt: skip

ENV = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
ENV["PYTHONPYCACHEPREFIX"] = str(REPOSITORY / ".cache" / "bytecode")  # what is not ours is compiled once


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
            env={**ENV, "PYTHONPATH": directory},
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
