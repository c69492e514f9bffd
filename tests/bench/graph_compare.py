"""Compare the import graph with those of madge and dependency-cruiser, edge by edge, as a Markdown table.

    python -m tests.bench.graph_compare --npm DIRECTORY CHECKOUT...

DIRECTORY holds a ``node_modules`` with madge, dependency-cruiser and typescript (``npm install madge
dependency-cruiser typescript@5.9``). Each CHECKOUT is a git repository. Edges between tracked files count, whatever
the tools see beside them. ``--show N`` prints the first N edges of each difference.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from agentjobs.source.files import matching, present
from agentjobs.source.import_graph import import_graph

KINDS = ("js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts")
Edges = set[tuple[str, str]]


class Graph(NamedTuple):
    edges: Edges
    seconds: float


def ours(root: Path, files: list[str]) -> Graph:
    begun = time.perf_counter()
    graph = import_graph(root, files)
    edges = {(path, target) for path, targets in graph.edges.items() for target in targets}
    return Graph(edges, time.perf_counter() - begun)


def madge(root: Path, npm: Path, files: list[str]) -> Graph:
    """Ask madge, with the configuration of the checkout if it has one."""
    argv = [str(npm / "node_modules/.bin/madge"), "--json", "--extensions", ",".join(KINDS)]
    if (root / "tsconfig.json").is_file():
        argv += ["--ts-config", str(root / "tsconfig.json")]
    found, seconds = asked([*argv, str(root)], root)
    edges = {(known(root, path), known(root, target)) for path, targets in found.items() for target in targets}
    return Graph(edges, seconds)


def depcruise(root: Path, npm: Path, files: list[str]) -> Graph:
    """Ask dependency-cruiser."""
    config = npm / "graph-compare-depcruise.json"
    config.write_text(json.dumps({
        "options": {
            "doNotFollow": {"path": "node_modules"},
            "moduleSystems": ["es6", "cjs", "amd", "tsd"],
            "tsPreCompilationDeps": True,
            "enhancedResolveOptions": {
                "extensions": [f".{kind}" for kind in KINDS],
                "exportsFields": ["exports"],
                "conditionNames": ["import", "require", "node", "default", "types"],
            },
            **({"tsConfig": {"fileName": "tsconfig.json"}} if (root / "tsconfig.json").is_file() else {}),
        },
    }))  # fmt: skip
    argv = [str(npm / "node_modules/.bin/depcruise"), "--config", str(config), "--output-type", "json"]
    found, seconds = asked([*argv, "."], root)
    edges = {
        (known(root, module["source"]), known(root, one["resolved"]))
        for module in found["modules"]
        for one in module["dependencies"]
    }
    return Graph(edges, seconds)


def asked(argv: list[str], cwd: Path) -> tuple[Any, float]:
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:  # Node cuts off what a pipe does not take at once
        done = subprocess.run(argv, cwd=cwd, stdout=out, stderr=subprocess.PIPE, text=True, check=False, timeout=600)
        seconds = time.perf_counter() - begun
        out.seek(0)
        try:
            return json.loads(out.read()), seconds
        except ValueError:
            raise SystemExit(f"{argv[0]} in {cwd.name}: {done.stderr[-2000:]}") from None


def known(root: Path, path: str) -> str:
    """Return a path as git writes it."""
    return os.path.relpath(os.path.normpath(root / path), root).replace(os.sep, "/")


def only(edges: Edges, others: Edges, name: str, root: Path, show: int) -> int:
    found = sorted(edges - others)
    for source, target in found[:show]:
        print(f"    {root.name}: {name}: {source} -> {target}")
    return len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npm", type=Path, required=True)
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("checkouts", type=Path, nargs="+")
    given = parser.parse_args()
    npm = given.npm.resolve()
    print("| package | files | edges: ours | madge | dependency-cruiser | only ours, of madge | only madge "
          "| only ours, of d.-c. | only d.-c. | s: ours | madge | d.-c. |")  # fmt: skip
    print("|---" + "|--:" * 11 + "|")
    for checkout in given.checkouts:
        root = checkout.resolve()
        files = matching(present(root), [f"*.{kind}" for kind in KINDS])
        among = set(files)
        graphs = [ours(root, files), madge(root, npm, files), depcruise(root, npm, files)]
        mine, theirs, cruised = (
            {(a, b) for a, b in graph.edges if a in among and b in among and a != b} for graph in graphs
        )
        differences = [
            only(mine, theirs, "not in madge", root, given.show),
            only(theirs, mine, "only in madge", root, given.show),
            only(mine, cruised, "not in dependency-cruiser", root, given.show),
            only(cruised, mine, "only in dependency-cruiser", root, given.show),
        ]
        cells = [root.name, len(files), len(mine), len(theirs), len(cruised), *differences]
        cells += [f"{graph.seconds:.1f}" for graph in graphs]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
