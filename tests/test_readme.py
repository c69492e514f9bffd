"""The README does what it says: its console sessions are run, with programs that play the agent and the check."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

CLAUDE = """\
#!/bin/sh
# Adds return types; stumbles over price, and cannot do mail.
cat >/dev/null
annotate() { sed 's/():/() -> None:/' "$1" >"$1.new" && mv "$1.new" "$1"; }
case $AGENTJOBS_TASK.$AGENTJOBS_MODE in
mail.* | price.first) echo "# attempt $AGENTJOBS_ATTEMPT" >>"$AGENTJOBS_FILES" ;;
*) annotate "$AGENTJOBS_FILES" ;;
esac
echo '{"type":"result","subtype":"success","is_error":false,"usage":{"input_tokens":9000,"output_tokens":400},\
"model_usage_since_last_result":{"m":{"costUSD":0.0412}}}'
"""

MYPY = """\
#!/bin/sh
if grep -n '():' "$2"; then echo 'error: Function is missing a return type annotation  [no-untyped-def]'; exit 1; fi
"""

TASKS = ("cart", "mail", "price", "tax")


def sessions() -> list[list[tuple[str, list[str]]]]:
    """Return every ``console`` block as its commands, each with the lines it prints."""
    return [session_of(block) for block in re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL)]


def session_of(block: str) -> list[tuple[str, list[str]]]:
    """Return the commands of one block, each with the lines it prints."""
    session: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            session.append((line[2:], []))
        else:
            session[-1][1].append(line)
    return session


def matches(told: list[str], said: str) -> bool:
    """Compare lines; ``…`` stands for anything in a line, alone for any lines; runs of blanks are one."""
    pattern = ""
    for line in filter(str.strip, told):
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(part) for part in " ".join(line.split()).split("…")) + r"\n"
    lines = [" ".join(line.split()) for line in said.splitlines()]
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines if line)) is not None


class Shell:
    """A directory, an empty home, and a PATH on which ``agentjobs`` and the given scripts are found."""

    def __init__(self, directory: Path, scripts: dict[str, str] | None = None) -> None:
        self.root = directory / "project"
        self.home = directory / "home"
        self.bin = directory / "bin"
        for made in (self.root, self.home, self.bin):
            made.mkdir(parents=True)
        shim = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m agentjobs "$@"\n'
        for name, text in {"agentjobs": shim, **(scripts or {})}.items():
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)

    def run(self, command: str) -> str:
        """Run a command, which must succeed; return what it printed to stdout and stderr."""
        env = {
            **os.environ,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.root, env=env, timeout=100, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        good = {0, 2} if command.startswith("agentjobs run") else {0}  # 2: nothing is left to do
        assert done.returncode in good, f"{command}: exit {done.returncode}\n{done.stdout.decode()}"
        return done.stdout.decode()


def scratch_of(directory: Path) -> Shell:
    """Return a repository with four modules and a table, where the README's programs are played."""
    shell = Shell(directory, {"claude": CLAUDE, "mypy": MYPY})
    (shell.root / "src").mkdir()
    for name in TASKS:
        (shell.root / "src" / f"{name}.py").write_text(f"def {name}():\n    pass\n")
    shell.run("git init -q -b main . && git add -A && git commit -q -m first")
    rows = "".join(f"{name}\tsrc/{name}.py\tAdd type hints.\n" for name in TASKS)
    (shell.root / "tasks.tsv").write_text(f"id\tfiles\ttask\n{rows}")
    return shell


def test_the_sessions_are_real(tmp_path: Path) -> None:
    scratch = scratch_of(tmp_path)
    session, begin = sessions()
    for command, told in begin:
        said = scratch.run(command)
        assert matches(told, said), f"{command} said:\n{said}"
    configure(scratch.root / "agentjobs.toml")
    for command, told in session:
        said = scratch.run(command)
        assert matches(told, said), f"{command} said:\n{said}"


def configure(path: Path) -> None:
    """Put into agentjobs.toml what the README says to put there."""
    block = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[0]
    settings = dict(re.findall(r"^(\w+) = (.*?)\s+#", block, re.MULTILINE))
    text = path.read_text()
    assert "[profiles.default]" in block
    for key in ("agent", "verify"):
        line = re.search(rf"^{key} = .*$", text, re.MULTILINE)
        assert line, f"the template of `init` has no {key}"
        text = text.replace(line[0], f"{key} = {settings[key]}", 1)
    # Nothing of the session depends on how fast they start, or on the memory of the machine.
    path.write_text(text.replace("[limits]\n", '[limits]\nmin_free_memory = "1MiB"\nstart_interval_s = 0\n', 1))


def test_it_can_be_read_in_a_sitting() -> None:
    assert len(README.splitlines()) <= 150


def test_its_loop_is_the_loop() -> None:
    loop = "while :; do agentjobs poll --wait 60; case $? in 0) ;; 2) break ;; *) exit 1 ;; esac; done"
    for place in ("README.md", "docs/how-it-works.md", "agentjobs/cli/main.py"):
        assert loop in (ROOT / place).read_text(encoding="utf-8"), place
