"""Convert a real package to TypeScript with the js-to-ts job, and write down what came of it.

    python -m tests.migrate.migrate koa                      the package as the npm registry has it
    python -m tests.migrate.migrate koa --from ~/src/koa     a git checkout, at the commit of packages.toml: with tests
    python -m tests.migrate.migrate semver --from … --loose-order [--serial]

It happens in .cache/migrate/PKG; results/PKG.json says how it went, and ``tests.migrate.table`` makes a page of these.
With ``--serial`` each task is checked by itself, tsc and tests included: what the batch gate is measured against.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
AGENTJOBS = [sys.executable, "-P", "-m", "agentjobs"]
NPM = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
NO_TESTS = "not in the package"


def main() -> int:
    """Convert one package; exit 0 if all of it landed and the whole is sound."""
    packages = tomllib.loads((HERE / "packages.toml").read_text())
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", choices=sorted(packages))
    parser.add_argument("--from", dest="checkout", type=Path, help="a git checkout; else the npm registry is asked")
    parser.add_argument("--serial", action="store_true", help="tsc and tests for each task, instead of once a batch")
    parser.add_argument("--one-per-file", action="store_true", help="a task for each module")
    parser.add_argument("--loose-order", action="store_true", help="no task waits for what its files import")
    parser.add_argument("--max-lines", type=int, default=1000, help="lines of a task's files together (%(default)s)")
    parser.add_argument("--slots", type=int, default=2, help="agents at once (%(default)s)")
    given = parser.parse_args()
    about = packages[given.package]
    if given.checkout is None:
        about |= about.get("npm", {})

    name = given.package
    for option in ("one_per_file", "loose_order", "serial"):
        name += f"-{option.replace('_', '-')}" if getattr(given, option) else ""
    place = REPOSITORY / ".cache" / "migrate" / name
    project = place / "project"
    _make(project, given.package, about, given.checkout)
    tests = about["test"] if given.checkout is not None else None
    _set_up(project, about, tests, given)

    started = time.monotonic()
    load = os.getloadavg()[0]
    _run(project, *AGENTJOBS, "plan")
    code = _run(project, *AGENTJOBS, "run", check=False).returncode
    wall_s = time.monotonic() - started

    found = {
        "package": given.package,
        "version": about["commit"] if given.checkout is not None else about["version"],
        "landing": "serial" if given.serial else "batch",
        "order": "loose" if given.loose_order else "strict",
        "load_before": round(load, 1),
        "wall_s": round(wall_s),
        "exit": code,
        **_counted(project),
        **_judged(project, place, tests),
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    sound = found["same_code"] == found["tsc"] == "ok" and found["landed"] == found["tasks"]
    return 0 if sound and found["tests"] != "failed" else 1


def _make(project: Path, package: str, about: dict[str, Any], checkout: Path | None) -> None:
    """Make a repository with one branch, `main`, and the package's node_modules."""
    if project.exists():
        subprocess.run([*AGENTJOBS, "stop"], cwd=project, capture_output=True, check=False)
    shutil.rmtree(project.parent, ignore_errors=True)
    project.parent.mkdir(parents=True)
    if checkout is not None:
        _run(project.parent, "git", "clone", "--quiet", str(checkout.resolve()), str(project))
        _run(project, "git", "checkout", "--quiet", "-B", "main", about["commit"])
        _run(project, "sh", "-c", about["install"])
    else:
        archive = _run(project.parent, "npm", "pack", "--silent", f"{package}@{about['version']}").stdout.strip()
        project.mkdir()
        _run(project.parent, "tar", "-xzf", archive, "-C", str(project), "--strip-components", "1")
        _run(project, "npm", "pkg", "delete", "devDependencies", "scripts")
        _run(project, *NPM)
        _run(project, "git", "init", "--quiet", "--initial-branch=main", ".")
    (project / "node_modules").mkdir(exist_ok=True)  # a package without dependencies gets none
    with (project / ".git" / "info" / "exclude").open("a") as file:
        file.write("node_modules\n/.agentjobs/\n")
    for key, value in {"user.name": "migrate", "user.email": "migrate@localhost", "commit.gpgsign": "false"}.items():
        _run(project, "git", "config", key, value)
    if checkout is None:
        _run(project, "git", "add", "--all")
        _run(project, "git", "commit", "--quiet", "--message", f"{package} {about['version']} as published")


def _set_up(project: Path, about: dict[str, Any], tests: str | None, given: argparse.Namespace) -> None:
    """Put the job into the project, with the package's own sources and tests."""
    _run(project, *AGENTJOBS, "init", "js-to-ts")
    _run(project, *NPM, "--prefix", "tools")
    sources, exclude = about["sources"], about["exclude"]
    policy = project / "agentjobs.toml"
    text = policy.read_text()
    own = tomllib.loads(text)
    # One line a run of the compiler: `&&` would hide a run that fails.
    gate = ['date >>"$AGENTJOBS_ROOT/.agentjobs/tsc-runs"; node "$AGENTJOBS_ROOT/tools/check-types.mjs"']
    if tests is not None:
        gate.append(f'node "$AGENTJOBS_ROOT/tools/check-tests.mjs" sh -c {shlex.quote(tests)}')
    verify = own["profiles"]["default"]["verify"]
    settings: dict[str, object] = {
        "include": [glob if "/" in glob else f"/{glob}" for glob in _alternatives(sources)],
        "exclude": _alternatives(exclude),
        "max_lines": given.max_lines,
        "one_per_file": given.one_per_file,
        "slots": given.slots,
        "gate": [] if given.serial else gate,
        "batch": 1 if given.serial else own["landing"]["batch"],
    }
    if given.serial:
        settings["verify"] = [*verify, *gate]
    for key, value in settings.items():
        # A backslash of JSON would be one of the replacement.
        line = f"{key} = {json.dumps(value)}".replace("\\", "\\\\")
        text, count = re.subn(rf"^{key} = (?:\[.*?\]$|[^\[\n]*)", line, text, count=1, flags=re.MULTILINE | re.DOTALL)
        if not count:
            raise SystemExit(f"agentjobs.toml of js-to-ts has no {key}")
    if given.loose_order:
        text = text.replace("one_per_file =", "loose_order = true\none_per_file =", 1)
    policy.write_text(text)


def _alternatives(globs: list[str]) -> list[str]:
    """Return globs without braces: `{a,b}/*.js` as two."""
    found = []
    for glob in globs:
        head, brace, rest = glob.partition("{")
        inside, _, tail = rest.partition("}")
        found += _alternatives([head + one + tail for one in inside.split(",")]) if brace else [glob]
    return found


def _counted(project: Path) -> dict[str, Any]:
    """Return what the run left behind: tasks, landings, attempts, runs of the gate and of the compiler."""
    rows = [line.split("\t") for line in (project / "tasks.tsv").read_text().splitlines() if not line.startswith("#")]
    status = rows[0].index("status")
    attempts = project / ".agentjobs" / "attempts"
    modes = Counter(
        json.loads(path.read_text())["mode"]
        for path in attempts.glob("*/*/attempt.json")
        if path.parent.parent.name != "+gate"
    )
    tsc = project / ".agentjobs" / "tsc-runs"
    return {
        "tasks": len(rows) - 1,
        "landed": sum(row[status] == "DONE" for row in rows[1:]),
        "attempts": dict(sorted(modes.items())),
        "gate_runs": len(list(attempts.glob("+gate/*/batch.json"))),
        "tsc_runs": len(tsc.read_text().splitlines()) if tsc.exists() else 0,
    }


def _judged(project: Path, place: Path, tests: str | None) -> dict[str, Any]:
    """Check what has landed once more, as a whole, in a separate tree."""
    tree = place / "result"
    _run(project, "git", "worktree", "add", "--quiet", "--detach", str(tree), "agentjobs/landed")
    (tree / "node_modules").symlink_to(project / "node_modules")
    changed = _run(project, "git", "diff", "--name-only", "--no-renames", "main", "agentjobs/landed").stdout.split("\n")
    typed = [name for name in changed if re.search(r"\.[cm]?tsx?$", name)]
    env = os.environ | {"AGENTJOBS_ROOT": str(project), "AGENTJOBS_BASE_COMMIT": "main"}
    env["AGENTJOBS_FILES"] = "\n".join(filter(None, changed))
    check = ["node", str(project / "tools" / "check-tests.mjs"), "sh", "-c", tests or ""]
    tsc = _run(tree, "node", str(project / "tools" / "check-types.mjs"), check=False, env=env)
    code = _run(tree, *AGENTJOBS, "same-code", check=False, env=env)
    debt = json.loads(_run(tree, *AGENTJOBS, "debt", "--json", *typed, check=False).stdout) if typed else {}
    total = Counter[str]()
    for counts in debt.values():
        total.update(counts)
    passed: int | str = NO_TESTS
    if tests is not None:
        tested = _run(tree, *check, check=False, env=env)
        (place / "tests.log").write_text(tested.stdout + tested.stderr)
        passed = _passed(tested.stdout) if tested.returncode == 0 else "failed"
    return {
        "files": len(typed),
        "expect_error": total["expect_error"],
        "any": total["any"],
        "non_null": total["non_null"],
        "tsc": "ok" if tsc.returncode == 0 else (tsc.stdout + tsc.stderr)[-500:],
        "same_code": "ok" if code.returncode == 0 else (code.stdout + code.stderr)[-500:],
        "tests": passed,
    }


def _passed(text: str) -> int | str:
    """Return how many tests passed, as mocha, node:test, qunit or tap say it; "passed" where none of them does."""
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    said = re.findall(r"^\s*(?:[#\u2139] pass (\d+)|(\d+) passing)\b", text, re.MULTILINE)
    if said:
        return max(int(one or other) for one, other in said)
    lines = len(re.findall(r"^\s*ok \d+", text, re.MULTILINE))
    return lines or "passed"


def _run(
    cwd: Path, *argv: str, check: bool = True, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program; SystemExit with what it said if it fails and ``check`` is set."""
    shown = argv[-1] == "run"  # progress is for people
    done = subprocess.run(
        argv, cwd=cwd, env=env, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL,
        stdout=None if shown else subprocess.PIPE, stderr=None if shown else subprocess.PIPE,
    )  # fmt: skip
    if check and done.returncode:
        raise SystemExit(f"{shlex.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


if __name__ == "__main__":
    sys.exit(main())
