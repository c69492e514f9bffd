"""The second pass of the js-to-ts job: fewer `any` in a file, or the work is not accepted."""

from __future__ import annotations

import json
import sys
import tomllib
from typing import TYPE_CHECKING

from tests.kit.harness import REPOSITORY, Project

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATE = REPOSITORY / "templates" / "js-to-ts"
LOOSE = "export function f(a: any, b: any) { return a === b }\n"

AGENT = """\
import json, os, pathlib, sys
prompt = sys.stdin.read()
path = pathlib.Path(os.environ["AGENTJOBS_FILES"])
assert f"`{path}`" in prompt and "2 any" in prompt, prompt
edits = {"better.ts": ("a: any", "a: string"), "worse.ts": ("return a", "return a as any"),
         "other.ts": ("a: any, b: any) { return a === b", "a: string, b: string) { return a == b")}
path.write_text(path.read_text().replace(*edits[path.name]))
print(json.dumps({"type": "result", "is_error": False}))
"""


def test_only_work_with_less_debt_and_the_same_code_lands(tmp_path: Path) -> None:
    template = tomllib.loads((TEMPLATE / "agentjobs.toml").read_text())
    agent = tmp_path / "agent.py"
    agent.write_text(AGENT)
    project = Project(
        tmp_path,
        files={
            "lib/better.ts": LOOSE,
            "lib/worse.ts": LOOSE,
            "lib/other.ts": LOOSE,
            "lib/clean.ts": "export const a = 1\n",
            "test/a.test.ts": LOOSE,
        },
        settings={
            "profiles": {"tighten": template["profiles"]["tighten"] | {"agent": "scripted"}},
            "agents": {"scripted": {"command": [sys.executable, "-IS", str(agent)], "rules": []}},
            "retry": {"resumes": 0, "repairs": 0, "restarts": 0},
        },
    )
    (project.root / "tighten.md.j2").write_text((TEMPLATE / "tighten.md.j2").read_text())
    rows = project.run("debt", "--rows", "--base", "main", code=0).stdout
    assert {json.loads(line)["files"][0] for line in rows.splitlines()} == {
        "lib/better.ts", "lib/worse.ts", "lib/other.ts",
    }  # fmt: skip
    project.run("plan", "rows", code=0, stdin=rows)
    assert project.settle() == {
        "tighten.lib-better.ts": "DONE", "tighten.lib-worse.ts": "FAILED", "tighten.lib-other.ts": "FAILED",
    }, project.story()  # fmt: skip
    assert project.landed("lib/better.ts") == LOOSE.replace("a: any", "a: string").strip()
    assert project.landed("lib/worse.ts") == LOOSE.strip()
    assert "it must be below" in project.log("tighten.lib-worse.ts", 1, "verify.log").decode()
    assert "==" in project.log("tighten.lib-other.ts", 1, "verify.log").decode()


def test_its_prompt_names_the_file_the_debt_and_the_checks(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.configure(profiles={"default": {"verify": ["agentjobs debt --tighten"]}})
    (project.root / "prompt.md.j2").write_text((TEMPLATE / "tighten.md.j2").read_text())
    project.rows({"id": "t", "files": "lib/a.ts", "debt": "2 any, 1 expect_error"})
    said = project.run("prompt", "t", code=0).stdout
    assert "- `lib/a.ts`" in said
    assert "2 any, 1 expect_error" in said
    assert "agentjobs debt --tighten" in said
