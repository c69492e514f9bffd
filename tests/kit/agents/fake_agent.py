"""A scripted agent for tests. What it does comes from the row's ``plan`` cell: one word an attempt, the last repeats.

``word:argument`` gives a word an argument ("sleep:0.5"); ``@go word`` waits before until there is a file ``go`` beside
the ledger, so that a test can see the agent at work for as long as it likes. It runs under ``python -IS`` (quick
start), writes a line to the ledger named by FAKE_LEDGER as its first deed, reads its prompt from stdin, and does in its
working directory what the word says. Run directly it lists its words.
"""

from __future__ import annotations

import os
import sys
import time
from _json import encode_basestring_ascii as quoted

# Agents are started by the thousand, and json, signal and contextlib take longer to import than Python takes to start.
# So only the words that need them import them.

TASK = os.environ.get("AGENTJOBS_TASK", "")
OUT = os.environ.get("AGENTJOBS_ROW_OUT") or f"{TASK}.txt"
LONG_S = 600.0


def dumps(value: object) -> str:
    """Return what ``json.dumps`` returns."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)}: {dumps(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    assert isinstance(value, int | float), value
    return repr(value)


def final(*, is_error: bool = False, tokens: int = 100, cost: float = 0.01) -> None:
    """Print the event that an agent ends with."""
    print(
        dumps(
            {
                "type": "result",
                "is_error": is_error,
                "usage": {"input": tokens - tokens // 10, "output": tokens // 10},
                "cost": cost,
            }
        ),
        flush=True,
    )


def write(text: str, path: str = OUT) -> None:
    directory = os.path.dirname(path)
    if directory:
        os.makedirs(directory, exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def wait_for(gate: str) -> None:
    """Wait until there is a file of this name beside the ledger."""
    while not os.path.exists(os.path.join(os.path.dirname(os.environ["FAKE_LEDGER"]), gate)):
        time.sleep(0.01)


def git(*args: str) -> None:
    import subprocess

    subprocess.run(
        ["git", "-c", "user.name=Agent", "-c", "user.email=agent@example.org", *args],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def server(seconds: float = LONG_S) -> None:
    """Leave a daemon: its own session, twice forked, its output elsewhere."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    time.sleep(seconds)
    os._exit(0)


# --- the words; each returns its exit status


def do_ok(_: str) -> int:
    """Do the work."""
    write(f"ok {TASK}\n")
    final()
    return 0


def do_free(_: str) -> int:
    """Do the work for nothing: no tokens, no cost."""
    write(f"ok {TASK}\n")
    final(tokens=0, cost=0.0)
    return 0


def do_cost(argument: str) -> int:
    """Do the work for this many dollars."""
    write(f"ok {TASK}\n")
    final(tokens=1000, cost=float(argument))
    return 0


def do_add_file(argument: str) -> int:
    """Change nothing except a separate file, whatever the task."""
    write(f"ok {TASK} {argument}\n", f"{TASK}.extra")
    final()
    return 0


def do_text(argument: str) -> int:
    """Do the work: write this text after ``ok``."""
    write(f"ok {TASK}\n{argument}\n")
    final()
    return 0


def do_append(argument: str) -> int:
    """Add a line to a file that is shared (the ``out`` cell)."""
    with open(OUT, "a") as file:
        file.write(f"ok {TASK} {argument}\n")
    final()
    return 0


def do_replace(argument: str) -> int:
    """Write this word as the first line of the ``out`` cell's file: two of them conflict. Resolves conflict markers."""
    write(f"ok {argument}\n")
    final()
    return 0


def do_sleep(argument: str) -> int:
    """Work for a while, then do the work."""
    time.sleep(float(argument or "0.3"))
    return do_ok("")


def do_crash(argument: str) -> int:
    """Fail with a traceback, after half of the work."""
    write("half\n", f"{OUT}.part")
    print(f"Traceback: something broke {argument}", file=sys.stderr, flush=True)
    return 1


def do_segv(_: str) -> int:
    """Die by a signal."""
    import signal

    os.kill(os.getpid(), signal.SIGSEGV)
    return 0


def do_recover(_: str) -> int:
    """Do the work and remove what ``crash`` left."""
    if os.path.exists(f"{OUT}.part"):
        os.remove(f"{OUT}.part")
    return do_ok("")


def do_hang(_: str) -> int:
    """Say nothing for ever."""
    time.sleep(LONG_S)
    return 0


def do_half(_: str) -> int:
    """Do half of the work, and hang."""
    write("half\n", f"{OUT}.part")
    time.sleep(LONG_S)
    return 0


def do_claim(_: str) -> int:
    """Write DONE into the row of the task, and hang."""
    table = os.path.join(os.environ["AGENTJOBS_ROOT"], "tasks.tsv")
    with open(table) as file:
        lines = [line.split("\t") for line in file]
    at = lines[0].index("status")
    with open(table + ".new", "w") as file:
        for cells in lines:
            if cells[0] == TASK:
                cells[at] = "DONE"
            file.write("\t".join(cells))
    os.replace(table + ".new", table)
    return do_hang("")


def do_half_limit(_: str) -> int:
    """Do half of the work, and meet the plan's limit."""
    write("half\n", f"{OUT}.part")
    return do_limit("in 1 second")


def do_half_auth(_: str) -> int:
    """Do half of the work, and be logged out."""
    write("half\n", f"{OUT}.part")
    return do_auth("")


def do_half_overloaded(_: str) -> int:
    """Do half of the work, and meet a server that is busy."""
    write("half\n", f"{OUT}.part")
    return do_overloaded("")


def do_once(_: str) -> int:
    """Hang when the task starts for the first time, whatever number the attempt has; then do the work."""
    with open(os.environ["FAKE_LEDGER"]) as file:
        first = sum(line.startswith(f"{TASK}\t") for line in file) == 1
    return do_hang("") if first else do_ok("")


def do_finish(_: str) -> int:
    """Finish what `half` left, or, where nothing was left, fail."""
    with open(f"{OUT}.part") as file:
        write(f"ok {TASK}\n{file.read()}")
    os.remove(f"{OUT}.part")
    final()
    return 0


def do_chatter(_: str) -> int:
    """Talk for ever and never end."""
    while True:
        print(dumps({"type": "progress", "at": time.time()}), flush=True)
        time.sleep(0.02)


def do_wrong(argument: str) -> int:
    """Say success; the checks say no. Each attempt does it differently."""
    write(f"wrong {argument} {os.environ['AGENTJOBS_ATTEMPT']}\n")
    final()
    return 0


def do_same(_: str) -> int:
    """Make the same mistake every time."""
    write("wrong\n")
    final()
    return 0


def do_lie(_: str) -> int:
    """Print success, do nothing."""
    print("All tests pass. Success! ok ok ok")
    final()
    return 0


def do_silent(_: str) -> int:
    """End with 0 without a final event, the work done."""
    write(f"ok {TASK}\n")
    return 0


def do_error_event(_: str) -> int:
    """End with 0 and a final event that says it failed."""
    final(is_error=True)
    return 0


def do_outside(argument: str) -> int:
    """Do the work, and change a file that is not among the task's."""
    write(f"ok {TASK}\n")
    write("meddled\n", argument or "README")
    final()
    return 0


def do_delete(argument: str) -> int:
    """Delete a file (the tests), do the work."""
    os.remove(argument)
    return do_ok("")


def do_only_delete(argument: str) -> int:
    """Delete what is there; nothing else."""
    os.remove(argument)
    final()
    return 0


def do_server(_: str) -> int:
    """Do the work and leave a server running."""
    server()
    return do_ok("")


def do_writing_server(_: str) -> int:
    """Leave a process that spoils the work while it is being checked."""
    import signal

    out = os.path.abspath(OUT)
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        attempt_dir = os.path.dirname(os.environ["AGENTJOBS_PROMPT"])
        while not os.path.exists(os.path.join(attempt_dir, "verify.json")):
            time.sleep(0.01)
        while True:
            write("wrong: written after the end\n", out)
            time.sleep(0.01)
    write(f"ok {TASK}\n")
    final()
    return 0


def do_crash_server(_: str) -> int:
    """Crash and leave a server running."""
    server()
    return 1


def do_stubborn(_: str) -> int:
    """Ignore every polite signal and hang."""
    import signal

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
    time.sleep(LONG_S)
    return 0


def do_linger(_: str) -> int:
    """Do the work, say so, and never go away; ignore TERM."""
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write(f"ok {TASK}\n")
    final()
    time.sleep(LONG_S)
    return 0


def do_linger_wrong(_: str) -> int:
    """Say success with wrong work, and never go away."""
    write("wrong\n")
    final()
    time.sleep(LONG_S)
    return 0


def do_flood(argument: str) -> int:
    """Print this many MiB (default: without end)."""
    block = b"x" * 1023 + b"\n"
    written, limit = 0, float(argument or "inf") * 2**20
    while written < limit:
        os.write(1, block * 64)
        written += len(block) * 64
        time.sleep(0.01)
    return do_ok("")


def do_fill(argument: str) -> int:
    """Fill the disk with one file of this many MiB in the tree, then do the work."""
    with open("filler.bin", "wb") as file:
        file.writelines(b"\0" * 2**20 for _ in range(int(argument)))
    return do_ok("")


def do_limit(argument: str) -> int:
    """Meet the plan's limit; the argument is what it says of the reset ("in 2 seconds")."""
    print(f"Error: usage limit reached, resets {argument}" if argument else "Error: usage limit reached", flush=True)
    return 1


def do_limited(argument: str) -> int:
    """Meet the plan's limit for as long as the file ``limited`` lies beside the ledger; then do the work."""
    limited = os.path.exists(os.path.join(os.path.dirname(os.environ["FAKE_LEDGER"]), "limited"))
    return do_limit(argument) if limited else do_ok("")


def do_overloaded(_: str) -> int:
    """The server is busy."""
    print("529 overloaded_error", flush=True)
    return 1


def do_retries(argument: str) -> int:
    """Try again for ever, saying each time that the plan's limit is reached; the argument as for ``limit``."""
    for number in range(100_000):
        print(f"retry {number}: usage limit reached, resets {argument}", flush=True)
        time.sleep(0.05)
    return 1


def do_auth(_: str) -> int:
    """Logged out."""
    print("API error: 401 Unauthorized", flush=True)
    return 1


def do_infra(_: str) -> int:
    """A model that is not there."""
    print("error: model_not_found", flush=True)
    return 1


def do_full(_: str) -> int:
    """The context is full."""
    print("prompt is too long: 230000 tokens", flush=True)
    return 1


def say(**fields: object) -> None:
    print(dumps(fields), flush=True)


def do_grow(argument: str) -> int:
    """Fill the context by half of the work, and hang; asked for a handoff do as the argument says.

    file, print, crash, hang; with ``late`` end well on a stop signal, with ``alone`` never report a context.
    """
    if os.environ["AGENTJOBS_MODE"] == "handoff":
        assert "handoff" in PROMPT
        say(type="assistant", usage={"window": 99_000})
        if argument == "crash":
            print("Error: prompt is too long for a handoff", flush=True)
            return 1
        if argument == "hang":
            time.sleep(LONG_S)
        text = f"Done: half of {TASK}. Remaining: the rest."
        if argument == "print":
            say(type="assistant", text=text)
        else:
            write(f"{text} In a file.\n", os.environ["AGENTJOBS_PARTIAL"])
        final(tokens=1000, cost=0.25)
        return 0
    if argument == "late":
        import signal

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(do_ok("")))
    write("half\n", f"{OUT}.part")
    for window in range(10_000, 100_000, 10_000):
        say(type="assistant", usage={"window": window})
        say(type="step", cost=0.01, usage={"input": 100, "output": 10})
    time.sleep(LONG_S)
    return 0


def do_keep(_: str) -> int:
    """Fill the context by half of the work, report it only in the transcript on disk, and hang."""
    if os.environ["AGENTJOBS_MODE"] == "handoff":
        return do_grow("file")
    write("half\n", f"{OUT}.part")
    own = os.path.dirname(os.path.dirname(os.environ["AGENTJOBS_PROMPT"])) + "/own"
    with open(os.path.join(own, f"kept-{os.environ['AGENTJOBS_SESSION']}.jsonl"), "w") as file:
        for number in range(1, 10):
            usage = {"window": 10_000 * number, "input": 1_000_000, "output": 0}
            print(dumps({"type": "kept", "id": number, "model": "fake-1", "usage": usage}), file=file, flush=True)
    time.sleep(LONG_S)
    return 0


def do_errors(argument: str) -> int:
    """Print this many errors that differ only in numbers, and hang; with ``N/M`` print another line after each M."""
    count, _, run = argument.partition("/")
    for number in range(int(count)):
        if run and number and number % int(run) == 0:
            say(type="assistant", usage={"window": 1000})
        words = f"Malformed answer (request {number})"
        say(type="error", attempt=number, delay_ms=500 * number, status=400, message=words)
    if run:
        return do_ok("")
    time.sleep(LONG_S)
    return 0


def do_requests(argument: str) -> int:
    """Ask the model this many times without an edit, and hang; with ``N/M`` edit after each M, then do the work."""
    count, _, each = argument.partition("/")
    for number in range(int(count)):
        say(type="assistant", usage={"window": 1000})
        if each and number % int(each) == int(each) - 1:
            write(f"step {number}\n", f"{OUT}.part")
            time.sleep(1.5)
    if each:
        return do_ok("")
    time.sleep(LONG_S)
    return 0


def do_spend(argument: str) -> int:
    """Spend this many dollars, a cent at a time, and hang; when resumed do the work."""
    if "--resume" in sys.argv:
        return do_ok("")
    write("half\n", f"{OUT}.part")
    for _ in range(round(float(argument) * 100)):
        say(type="step", cost=0.01, usage={"input": 100, "output": 10})
    time.sleep(LONG_S)
    return 0


def do_lost_session(_: str) -> int:
    """A conversation that cannot be found when resumed; a fresh one does the work."""
    if os.environ["AGENTJOBS_MODE"] == "resume" and "--resume" in sys.argv:
        print("No conversation found with session ID", flush=True)
        return 1
    return do_ok("")


def do_prose(_: str) -> int:
    """Talk about limits and logins in prose, and do the work."""
    print("I reviewed the code: when the usage limit reached 401 Unauthorized it says overloaded_error", flush=True)
    return do_ok("")


def do_binary(_: str) -> int:
    """Print and write bytes that are not UTF-8, then do the work."""
    os.write(1, bytes(range(256)) * 40 + b"\n")
    with open(b"bin\xff\xfe.dat", "wb") as file:
        file.write(bytes(range(256)))
    return do_ok("")


def do_commit(_: str) -> int:
    """Do the work and commit it on a new branch."""
    write(f"ok {TASK}\n")
    git("checkout", "-q", "-b", f"mine-{TASK}")
    git("add", "-A")
    git("commit", "-q", "-m", "agent's own")
    final()
    return 0


def do_commit_wrong(_: str) -> int:
    """Commit wrong work."""
    write(f"wrong {os.environ['AGENTJOBS_ATTEMPT']}\n")
    git("add", "-A")
    git("commit", "-q", "-m", "agent's own")
    final()
    return 0


def do_no_git(_: str) -> int:
    """Delete the tree's .git, do the work."""
    os.remove(".git")
    return do_ok("")


def do_nested(_: str) -> int:
    """Make a repository inside the tree, do the work."""
    os.makedirs("vendor/inner")
    git("init", "-q", "vendor/inner")
    write("inner\n", "vendor/inner/file.txt")
    git("-C", "vendor/inner", "add", "-A")
    git("-C", "vendor/inner", "commit", "-q", "-m", "inner")
    return do_ok("")


def do_git_lock(_: str) -> int:
    """Leave git's index locked, do the work."""
    import subprocess

    where = subprocess.run(["git", "rev-parse", "--git-dir"], check=True, capture_output=True, text=True)
    write("", os.path.join(where.stdout.strip(), "index.lock"))
    return do_ok("")


def do_wipe(_: str) -> int:
    """Delete the whole tree, itself included."""

    import shutil

    tree = os.getcwd()
    for name in os.listdir(tree):
        path = os.path.join(tree, name)
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)
    final()
    return 0


def do_rmtree(_: str) -> int:
    """Delete its own working directory."""

    import shutil

    shutil.rmtree(os.getcwd())
    final()
    return 0


def do_handoff(argument: str) -> int:
    """Leave a message for the tasks after this one, do the work."""
    write(f"{argument or 'hello'} from {TASK}\n", os.environ["AGENTJOBS_HANDOFF"])
    return do_ok("")


def do_report(argument: str) -> int:
    """Write the row's `writes` (PATH=TEXT words, "PATH=" deletes) and its `says` as the handoff; end with `message`.

    With an argument the work itself says that.
    """
    import shlex

    for word in shlex.split(os.environ.get("AGENTJOBS_ROW_WRITES", "")):
        path, _, text = word.partition("=")
        if text:
            write(text + "\n", path)
        else:
            os.remove(path)
    if said := os.environ.get("AGENTJOBS_ROW_SAYS"):
        write(said, os.environ["AGENTJOBS_HANDOFF"])
    write(f"{argument or 'ok'} {TASK} {os.environ['AGENTJOBS_ATTEMPT']}\n")
    if message := os.environ.get("AGENTJOBS_ROW_MESSAGE"):
        say(type="assistant", text=message)
    final()
    return 0


def do_leak(argument: str) -> int:
    """Print its whole environment after this many other characters, print its key everywhere, do wrong work."""
    print("." * int(argument or "0"))
    for name, value in sorted(os.environ.items()):
        print(f"{name}={value}")
    key = os.environ.get("FAKE_API_KEY", "none")
    write(f"remember {key}\n", os.environ["AGENTJOBS_HANDOFF"])
    write(f"wrong: cannot log in with {key}\n")
    final()
    return 0


def do_leak_crash(_: str) -> int:
    """Fail with a last line that contains the key, and that every limit for a line cuts."""
    sys.stdout.flush()
    print("error: " + "x" * 210 + os.environ.get("FAKE_API_KEY", "none"), file=sys.stderr, flush=True)
    return 1


def do_halves(_: str) -> int:
    """Print its key in two pieces, the second one when the file `go` is there next to the ledger; do the work."""
    key = os.environ["FAKE_API_KEY"]
    print(f"key: {key[:9]}", end="", flush=True)
    wait_for("go")
    print(f"{key[9:]}.", flush=True)
    return do_ok("")


def do_target(_: str) -> int:
    """Move the target branch itself, do no work."""
    git("commit", "-q", "--allow-empty", "-m", "meddled")
    git("update-ref", "refs/heads/agentjobs/landed", "HEAD")
    final()
    return 0


def do_main(_: str) -> int:
    """Edit the project root instead of the tree."""
    write("ok\n", os.path.join(os.environ["AGENTJOBS_ROOT"], OUT))
    final()
    return 0


def do_prompted(argument: str) -> int:
    """Do the work if the prompt contains the argument."""
    return do_ok("") if argument in PROMPT else do_wrong("")


def alone(argument: str) -> None:
    """Stay for a moment where only one may be at a time; if another one is there, write that down."""
    import contextlib

    where = os.path.join(os.path.dirname(os.environ["FAKE_LEDGER"]), f"alone-{argument}")
    try:
        os.mkdir(where)
    except FileExistsError:
        with open(f"{where}.met", "a") as file:
            file.write(f"{TASK}\n")
    time.sleep(0.4)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(where)


def do_alone(argument: str) -> int:
    """Do the work where nobody else may be meanwhile."""
    alone(argument)
    return do_ok("")


def do_alone_same(argument: str) -> int:
    """Make the same mistake every time, where nobody else may be meanwhile."""
    alone(argument)
    return do_same("")


def do_ignored(_: str) -> int:
    """Hide the work from git: the checks would find it in the tree, but it would not land."""
    write(f"ok {TASK}\n")
    with open(".gitignore", "a") as file:
        file.write(f"{OUT}\n")
    final()
    return 0


WORDS = {
    name.removeprefix("do_"): function for name, function in list(globals().items()) if name.startswith("do_")
}
PROMPT = ""


def main() -> int:
    """Do what the plan says of this attempt."""
    global PROMPT  # noqa: PLW0603 - one process, one prompt
    attempt = int(os.environ.get("AGENTJOBS_ATTEMPT", "0"))
    if not attempt:
        print(*(f"{name:14} {function.__doc__}" for name, function in WORDS.items()), sep="\n")
        return 0
    steps = (os.environ.get("AGENTJOBS_ROW_PLAN") or "ok").split(",")
    step = steps[min(attempt, len(steps)) - 1].strip()
    step = os.environ.get("FAKE_WORD") or step
    gate, step = step[1:].split(" ", 1) if step.startswith("@") else ("", step)
    word, _, argument = step.partition(":")
    mode, session = os.environ["AGENTJOBS_MODE"], os.environ.get("AGENTJOBS_SESSION", "")
    fields = [TASK, str(attempt), mode, step, str(os.getpid()), session, repr(time.time()), os.getcwd()]
    ledger = os.open(os.environ["FAKE_LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(ledger, ("\t".join(fields) + "\n").encode())
    os.close(ledger)
    PROMPT = sys.stdin.buffer.read().decode("utf-8", "replace")
    print(dumps({"type": "start", "task": TASK, "attempt": attempt, "prompt_bytes": len(PROMPT)}), flush=True)
    if gate:
        wait_for(gate)
    return int(WORDS[word.replace("-", "_")](argument))


if __name__ == "__main__":
    sys.exit(main())
