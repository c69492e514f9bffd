"""Print the modules to review as rows: python3 tools/modules.py [DIRECTORY...] [--max-lines N] [--tests] [--first N].

Files of one directory share a task of up to N lines (600); a longer file gets a separate task. Files that git ignores
are left out, and tests too without --tests.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path, PurePosixPath

ENDINGS = {".py", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx"}
LEFT_OUT = {".agentjobs", ".git", ".venv", "venv", "node_modules", "__pycache__", "dist", "build"}
TESTS = re.compile(r"(^|/)(tests?|__tests__|spec)/|(^|/)test_[^/]*$|[._-](test|spec)\.\w+$")
OWN = Path(__file__).resolve().parent


def sources(places: list[str], *, tests: bool) -> list[str]:
    """Return the paths of all source files, sorted."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *places],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        names = {name for name in listed.stdout.split("\0") if name}
    else:
        names = {str(path) for place in places for path in Path(place).rglob("*")}
    return sorted(
        os.path.normpath(name) for name in names
        if PurePosixPath(name).suffix in ENDINGS and not LEFT_OUT.intersection(PurePosixPath(name).parts)
        and (tests or not TESTS.search(name)) and OWN not in Path(name).resolve().parents and Path(name).is_file()
    )  # fmt: skip


def modules(paths: list[str], max_lines: int) -> list[tuple[list[str], int]]:
    """Return the files of each task and their number of lines: neighbours in a directory, up to the limit."""
    found: list[tuple[list[str], int]] = []
    for path in paths:
        lines = len(Path(path).read_bytes().splitlines())
        if not lines:
            continue
        last = found[-1] if found else ([], 0)
        if last[0] and os.path.dirname(last[0][-1]) == os.path.dirname(path) and last[1] + lines <= max_lines:
            found[-1] = ([*last[0], path], last[1] + lines)
        else:
            found.append(([path], lines))
    return found


def digest(paths: list[str]) -> str:
    """Return a hash of the files' content."""
    return hashlib.sha256(b"\0".join(Path(path).read_bytes() for path in paths)).hexdigest()[:16]


def main() -> int:
    """Print a row for each module; return the exit code."""
    parser = argparse.ArgumentParser(description="Modules as rows.")
    parser.add_argument("places", nargs="*", default=["."])
    parser.add_argument("--max-lines", type=int, default=600)
    parser.add_argument("--tests", action="store_true", help="review tests too")
    parser.add_argument("--first", type=int, help="at most this many modules, from all parts: a pilot")
    options = parser.parse_args()
    ids: dict[str, int] = {}
    found = modules(sources(options.places, tests=options.tests), options.max_lines)
    step = max(1, len(found) // options.first) if options.first else 1
    for paths, lines in found[::step][: options.first]:
        name = paths[0] if len(paths) == 1 else f"{paths[0]} to {os.path.basename(paths[-1])}"
        slug = re.sub(r"[^A-Za-z0-9]+", "-", name)[-80:].strip("-") or "module"
        ids[slug] = ids.get(slug, 0) + 1
        id_ = slug if ids[slug] == 1 else f"{slug}-{ids[slug]}"
        row = {"id": id_, "module": name, "docs": shlex.join(paths), "lines": lines, "sha": digest(paths)}
        print(json.dumps(row))
    if not ids:
        print(f"modules: no source files in {', '.join(options.places)}", file=sys.stderr)
    return 0 if ids else 1


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ended quietly by `| head`
    sys.exit(main())
