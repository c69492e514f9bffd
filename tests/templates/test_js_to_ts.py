"""The job js-to-ts as a user runs it, with its scripted agent."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.kit.templatejobs import Job
from tests.templates.test_js_tools import TOOLS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(not (TOOLS / "node_modules/typescript").exists(), reason="no compiler: make js-tools"),
]


def js_to_ts(directory: Path, files: dict[str, str], *policy: tuple[str, str]) -> Job:
    """A job over these files, planned; ``policy``: lines of agentjobs.toml to replace."""
    job = Job(directory, files={".gitignore": "node_modules\n", **files}, kind="js-to-ts", demo=False)
    (job.root / "node_modules").mkdir(exist_ok=True)
    (job.root / "tools/node_modules").symlink_to(TOOLS / "node_modules")
    job.policy(r"wait_s = 60 .*", "wait_s = 0")
    for pattern, replacement in policy:
        job.policy(pattern, replacement)
    job.run("plan", code=0)
    return job


def test_a_task_that_cannot_be_converted_blocks_nothing(tmp_path: Path) -> None:
    files = {
        "package.json": '{"name": "p", "scripts": {"test": "node test/a.js"}}',
        "lib/octal.js": "exports.eight = 010\n",
        "lib/index.js": "const { eight } = require('./octal')\nexports.nine = eight + 1\n",
        "test/a.js": "require('assert').equal(require('../lib').nine, 9)\n",
    }
    job = js_to_ts(tmp_path, files, (r"one_per_file = false .*", "one_per_file = true"))
    assert job.settle() == {"lib.octal": "DONE", "lib.index": "DONE"}, job.story()
    rows = job.table()
    assert rows["lib.index"]["after"] == "lib.octal"
    assert rows["lib.octal"]["note"].startswith("stays JavaScript: lib/octal.js: line 1: TS1121: ")
    assert job.landed("lib/octal.js") == files["lib/octal.js"].strip()
    assert job.landed("lib/index.js") is None
    assert "eight + 1" in (job.landed("lib/index.ts") or "")


def test_an_agent_that_does_nothing_is_not_done(tmp_path: Path) -> None:
    files = {"package.json": "{}", "a.js": "exports.a = 1\n"}
    job = js_to_ts(tmp_path, files, (r"repairs = .*", "repairs = 0"), (r"restarts = .*", "restarts = 0"))
    (job.root / "tools/convert/main.mjs").write_text("console.log('{\"type\": \"result\", \"is_error\": false}')\n")
    assert job.settle() == {"a": "FAILED"}, job.story()
    assert "a.js(1,1): error: still JavaScript" in job.attempts("a")[-1]["result"]["errors"]


def test_ecmascript_modules_import_umd_by_default(tmp_path: Path) -> None:
    umd = """(function (root, make) {
  if (typeof define === 'function' && define.amd) define([], make)
  else if (typeof module === 'object' && module.exports) module.exports = make()
  else root.A = make()
})(this, function () { return { a: 1 } })
"""
    files = {
        "package.json": '{"name": "p", "type": "module", "scripts": {"test": "node test/a.js"}}',
        "lib/umd.cjs": umd,
        "lib/index.js": "import umd from './umd.cjs'\nexport default umd.a + 1\n",
        "test/a.js": "import two from '../lib/index.js'\nif (two !== 2) throw new Error(String(two))\n",
    }
    job = js_to_ts(tmp_path, files)
    assert set(job.settle().values()) == {"DONE"}, job.story()
    assert job.landed("lib/umd.cts") is not None
    assert "@ts-expect-error TS1192" in (job.landed("lib/index.ts") or "")
