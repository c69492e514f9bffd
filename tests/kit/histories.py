"""Random histories of the merge queue: real git, real processes, polls killed after random effects, strangers.

    python -m tests.kit.histories PLACE --count 200

Each history is a handful of tasks (some break the gate, saying where or not, some conflict, some always fail), a size
of batches, a list of crash points for the polls, and moments at which somebody else moves the target. After every
poll the target must be green; in the end nothing is lost, nothing has landed twice, and nobody innocent was bothered.
Run it in a separate process: it forks, and adopts what killed polls leave.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, example, given, seed, settings
from hypothesis import strategies as st
from msgspec import Struct

from tests.kit.crashing import Driver

POLICY = """\
base = "main"
target = "landed"
slots = 4
verify_slots = 4

[limits]
start_interval_s = 0
stop_grace_s = 0.2
breaker = 0
min_free_memory = "1MiB"

[retry]
repairs = 3
restarts = 0
diagnose_above = 1.0

[profiles.default]
agent = "scripted"
prompt = "prompt.md.j2"
verify = ["test -e $AGENTJOBS_TASK.txt"]

[agents.scripted]
command = ["sh", "{{root}}/agent.sh"]

[landing]
gate = ["sh $AGENTJOBS_ROOT/gate.sh"]
batch = {batch}
wait_s = {wait}
"""

AGENT = r"""
set -f
set -- $AGENTJOBS_ROW_PLAN
n=$AGENTJOBS_ATTEMPT
while [ "$n" -gt 1 ] && [ $# -gt 1 ]; do shift; n=$((n - 1)); done
echo "agent $AGENTJOBS_TASK $1" >>"$AGENTJOBS_ROOT/../ledger"
echo "$1 $AGENTJOBS_TASK" >"$AGENTJOBS_TASK.txt"
case $1 in shared) echo "$AGENTJOBS_TASK" >shared ;; esac
"""

GATE = r"""
echo gate >>"$AGENTJOBS_ROOT/../ledger"
if [ -e "$AGENTJOBS_ROOT/../flaky" ] && rmdir "$AGENTJOBS_ROOT/../flaky" 2>/dev/null; then echo flaky; exit 1; fi
code=0
for file in *.txt; do
    read -r word _ <"$file"
    case $word in
        told) echo "$file:1:1: error: it is told"; code=1 ;;
        silent | never) echo "something is wrong"; code=1 ;;
    esac
done
exit $code
"""

POLLS_MAX = 400


class History(Struct, frozen=True):
    """What happens."""

    plans: tuple[str, ...]
    """Of each task: what its attempts are; the last word serves for all others."""
    batch: int
    wait: int
    kills: tuple[int, ...]
    """After which effect each poll is killed; 0: it is not."""
    strangers: tuple[int, ...]
    """Before which polls somebody else commits to the target."""
    flaky: bool


PLANS = st.sampled_from(
    ["ok", "ok", "ok", "ok", "told ok", "silent ok", "silent told ok", "shared", "shared", "never"]
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    plans = draw(st.lists(PLANS, min_size=2, max_size=7))
    return History(
        plans=tuple(plans),
        batch=draw(st.integers(1, 8)),
        wait=draw(st.sampled_from([0, 600])),
        kills=tuple(draw(st.lists(st.integers(0, 260), max_size=6))),
        strangers=tuple(draw(st.lists(st.integers(0, 12), max_size=2, unique=True))),
        flaky=draw(st.booleans()),
    )


class Run:
    """One history, carried out."""

    def __init__(self, place: Path, history: History) -> None:
        self.history = history
        self.root = place / "project"
        self.root.mkdir(parents=True)
        (place / "ledger").touch()
        if history.flaky:
            (place / "flaky").mkdir()
        write = {
            "agentjobs.toml": POLICY.format(batch=history.batch, wait=history.wait),
            "prompt.md.j2": "{{ id }}\n{{ errors }}\n",
            "agent.sh": AGENT,
            "gate.sh": GATE,
            "shared": "nobody\n",
            ".gitignore": "tasks.tsv\n",
            "tasks.tsv": "id\tplan\n" + "".join(f"t{n}\t{plan}\n" for n, plan in enumerate(history.plans)),
        }
        for name, text in write.items():
            (self.root / name).write_text(text)
        self.git("init", "-q", "-b", "main")
        self.git("add", ".")
        self.git("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "-m", "start")
        self.driver = Driver(place)
        self.strangers: list[str] = []

    def git(self, *argv: str) -> str:
        done = subprocess.run(("git", *argv), cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def run(self) -> None:
        driver, history = self.driver, self.history
        code, polls, kills = -1, 0, list(history.kills)
        try:
            while code != 2:
                assert polls < POLLS_MAX, f"it does not end: {driver.log.read_text()[-2000:]}"
                if polls in history.strangers:
                    self.stranger(polls)
                begun = (self.root / ".agentjobs/scope.json").exists()
                command = ("poll", "--wait", "5") if begun else ("dispatch",)
                code, _ = driver.run(*command, fatal=kills.pop(0) if kills else 0)
                assert code in {0, 2, -signal.SIGKILL}, f"{command} exited {code}: {driver.log.read_text()[-3000:]}"
                code = 0 if command == ("dispatch",) else code
                polls += 1
                self.check_green()
            driver.release()
            self.check_end()
        finally:
            driver.clear()

    def stranger(self, poll: int) -> None:
        """Commit something to the target, like a push by somebody else."""
        refs = self.git("for-each-ref", "--format=%(objectname)", "refs/heads/landed") or self.git("rev-parse", "main")
        blob = subprocess.run(
            ("git", "hash-object", "-w", "--stdin"), cwd=self.root, input=f"{poll}\n", check=True,
            capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        listing = self.git("ls-tree", refs) + f"\n100644 blob {blob}\tstranger-{poll}\n"
        tree = subprocess.run(
            ("git", "mktree"), cwd=self.root, input=listing, check=True, capture_output=True, text=True
        ).stdout.strip()
        who = ("-c", "user.name=s", "-c", "user.email=s@localhost")
        made = self.git(*who, "commit-tree", "-m", f"stranger {poll}", "-p", refs, tree)
        self.git("update-ref", "refs/heads/landed", made)
        self.strangers.append(made)

    def target(self) -> dict[str, str]:
        """Return the target's files that tasks wrote, by name."""
        if not self.git("for-each-ref", "refs/heads/landed"):
            return {}
        names = [name for name in self.git("ls-tree", "--name-only", "landed").splitlines() if name.endswith(".txt")]
        return {name: self.git("show", f"landed:{name}") for name in names}

    def check_green(self) -> None:
        words = {text.split()[0] for text in self.target().values()}
        assert words <= {"ok", "shared"}, f"the target is red: {words}"

    def check_end(self) -> None:
        header, *lines = [line.split("\t") for line in (self.root / "tasks.tsv").read_text().splitlines()]
        rows = [dict(zip(header, line, strict=False)) for line in lines]
        plans = {f"t{n}": plan for n, plan in enumerate(self.history.plans)}
        never = {id_ for id_, plan in plans.items() if plan == "never"}
        for row in rows:
            assert row["status"] == ("FAILED" if row["id"] in never else "DONE"), row
        tasks = "--format=%(trailers:key=Agentjobs-Task,valueonly,separator=%x2C)"
        log = self.git("log", tasks, "landed", "^main") if self.git("for-each-ref", "refs/heads/landed") else ""
        assert Counter(log.split()) == Counter(plans.keys() - never), "each has landed, and once"
        assert self.target().keys() == {f"{id_}.txt" for id_ in plans.keys() - never}
        for commit in self.strangers:
            self.git("merge-base", "--is-ancestor", commit, "landed")
        starts = Counter(line.split()[1] for line in self.driver.ledger() if line.startswith("agent "))
        for id_, plan in plans.items():
            if plan == "ok":
                assert starts[id_] == 1, f"{id_} did nothing wrong and was started {starts[id_]} times"
        assert not list((self.root / ".agentjobs/active").iterdir())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("place", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    tried = 0

    @seed(args.seed)
    @settings(
        max_examples=args.count, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.shrink], print_blob=False,
    )  # fmt: skip
    @given(histories())
    # Conflicts with one landing after another were taken for going in circles.
    @example(History(plans=("shared",) * 4, batch=2, wait=0, kills=(), strangers=(), flaky=False))
    def carried_out(history: History) -> None:
        nonlocal tried
        tried += 1
        place = args.place / str(tried)
        try:
            Run(place, history).run()
        finally:
            shutil.rmtree(place, ignore_errors=True)

    carried_out()
    print(f"{tried} histories, 0 wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
