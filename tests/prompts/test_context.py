"""The context of a task, from the repository into the prompt that an agent is sent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agentjobs.model.tasks import Row, Status
from agentjobs.policy.context import TaskContext
from agentjobs.prompts.context import Parcel, Room
from agentjobs.prompts.template import render, variables
from agentjobs.source.tree import DiskTree
from agentjobs.tokens.count import count
from agentjobs.tokens.fit import Scale
from tests.kit.harness import Project

FILES = {
    "AGENTS.md": "# Rules\n\nUse tabs, {{ never }} spaces.\n",
    "src/CLAUDE.md": "Nearer.\n```js\nx\n```\n",
    "src/parser.js": "import { lex } from './lexer.js';\nexport const parse = (text) => lex(text);\n",
    "src/lexer.js": "export function lex(text, from = 0) {\n  return [...text];\n}\nexport function unused() {}\n",
    "src/printer.js": "// {{ 7 * 7 }}\nexport const print = 1;\n",
    "test/parser.test.js": "import { parse } from '../src/parser.js';\nparse('a');\n",
    "test/notes.test.js": "// of the parser\n",
}
CONTEXT = {
    "files": "inline", "imports_tokens": 3000, "tests_tokens": 500, "memory_tokens": 1000, "handoffs_tokens": 500,
}  # fmt: skip


def made(tmp_path: Path, context: dict[str, Any] | None = None, **profile: Any) -> Project:
    default = {"context": CONTEXT if context is None else context, **profile}
    project = Project(tmp_path / "p", files=FILES, settings={"profiles": {"default": default}})
    project.rows({"id": "t", "files": "src/parser.js src/new.js"})
    return project


def explained(project: Project, task_id: str = "t") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(project.run("prompt", task_id, "--explain", "--json", code=0).stdout)
    assert found["total"] == found["rest"] + sum(part["tokens"] for part in found["sections"])
    return found


def part(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["sections"] if one["name"] == name)


EXPECTED = """\
Task t, attempt 1.

## Instructions of the project

Those nearest to the task's files come first.

### `src/CLAUDE.md`

````markdown
Nearer.
```js
x
```
````

### `AGENTS.md`

```markdown
# Rules

Use tabs, {{ never }} spaces.
```

## Files of the task

- `src/new.js` (not there yet)
- `src/parser.js`

## Contents of the files

As they are where the task starts.

### `src/parser.js`

```js
import { lex } from './lexer.js';
export const parse = (text) => lex(text);
```

## What the files import

Signatures of what the files import from others of this repository, without the bodies.

### `src/lexer.js`

```js
export function lex(text, from = 0);
```

## Tests

Files that look like tests and import the task's files or mention their names.

- `test/parser.test.js` (imports them; line 1)
- `test/notes.test.js` (line 1)
"""


def test_a_prompt_gets_its_context(tmp_path: Path) -> None:
    project = made(tmp_path)
    assert project.run("prompt", "t", code=0).stdout == EXPECTED
    (project.root / "src/parser.js").write_text("dirty\n")
    (project.root / "AGENTS.md").write_text("dirty\n")
    project.rows({"id": "t", "files": "src/new.js src/parser.js", "out": "src/new.js"})
    assert project.run("prompt", "t", code=0).stdout == EXPECTED, "of the commit, in whatever order the row has them"
    assert project.settle() == {"t": "DONE"}
    assert project.prompt("t", 1) == EXPECTED


def test_without_the_table_prompts_keep_their_bytes(tmp_path: Path) -> None:
    project = made(tmp_path)
    project.configure(profiles={"default": {"context": None}})
    assert project.run("prompt", "t", code=0).stdout == "Task t, attempt 1.\n\n"
    project.rows({"id": "t", "context": "mine", "sections": "two"})
    (project.root / "prompt.md.j2").write_text("{{ context }} {{ sections }}\n")
    assert project.run("prompt", "t", code=0).stdout == "mine two\n"
    project.rows({"id": "t"})
    (project.root / "prompt.md.j2").write_text("<{{ context }}{{ sections.imports }}>\n")
    assert project.run("prompt", "t", code=0).stdout == "<>\n"


def test_a_template_says_where_sections_go(tmp_path: Path) -> None:
    project = made(tmp_path)
    template = project.root / "prompt.md.j2"
    template.write_text("Before.\n\n{{ context }}\nAfter.\n")
    told = project.run("prompt", "t", code=0).stdout
    assert told.startswith("Before.\n\n## Instructions of the project")
    assert told.endswith("- `test/notes.test.js` (line 1)\n\nAfter.\n")
    template.write_text("{{ sections.imports }}\n{{ sections.tests }}")
    told = project.run("prompt", "t", code=0).stdout
    assert told.startswith("## What the files import\n")
    assert "## Tests\n" in told
    assert "## Contents" not in told
    memory = part(explained(project), "memory")
    assert memory["tokens"] == 0
    assert memory["left_out"][0][1] == "prompt.md.j2 does not print it"
    template.write_text("{{ sections.import }}")
    said = project.run("prompt", "t", code=1).stderr
    assert "prompt.md.j2:1: no column or section 'import' (sections: memory, files, inline, imports, " in said


def test_what_is_in_files_is_data(tmp_path: Path) -> None:
    project = made(tmp_path)
    project.rows({"id": "t", "files": "src/printer.js"})
    assert "\n// {{ 7 * 7 }}\n" in project.run("prompt", "t", code=0).stdout


def test_the_numbers_add_up(tmp_path: Path) -> None:
    project = made(tmp_path)
    found = explained(project)
    prompt = project.run("prompt", "t", code=0).stdout
    assert found["total"] == count(prompt)
    assert [one["name"] for one in found["sections"]] == ["memory", "files", "inline", "imports", "tests", "handoffs"]
    imports = prompt[prompt.index("## What the files import") : prompt.index("\n## Tests")]
    assert part(found, "imports")["tokens"] == count(imports)
    assert (found["limit"], found["window"], found["fit"], found["made"]) == (120_000, 200_000, 0.6, 0)
    project.configure(agents={"fake": {"tokens_factor": 1.5}})
    scaled = explained(project)
    assert scaled["total"] == -(-count(prompt) * 3 // 2)
    assert scaled["factor"] == 1.5
    told = project.run("prompt", "t", "--explain", code=0).lines
    assert told[0].split() == ["section", "tokens", "budget", "left", "out"]
    assert told[8].split() == ["total", f"{scaled['total']:,}", "120,000"]
    assert told[-1] == "This is the first attempt of t (profile default)."
    project.run("prompt", "t", "--json", code=64)
    project.run("prompt", "t", "--explain", "--attempt", "1", code=64)


@pytest.mark.parametrize(("budget", "factor"), [(10, 1.0), (60, 1.7), (100, 1.0)])
def test_budgets_are_those_of_the_agent(tmp_path: Path, budget: int, factor: float) -> None:
    sizes = {"inline_tokens": budget, "imports_tokens": budget, "tests_tokens": budget, "memory_tokens": budget}
    project = made(tmp_path, {"files": "inline", **sizes})
    project.configure(agents={"fake": {"tokens_factor": factor}})
    found = explained(project)
    for one in found["sections"]:
        assert one["budget"] in (budget, None)
        assert one["budget"] is None or one["tokens"] <= budget
    if budget == 10:
        assert part(found, "inline")["left_out"] == [["src/parser.js", "over the budget"]]
        assert "- `src/parser.js` (over the budget)\n" in project.run("prompt", "t", code=0).stdout
        assert part(found, "imports")["left_out"] == [["src/lexer.js: lex", "over the budget"]]


def test_sections_are_cut_back_before_a_prompt_is_refused(tmp_path: Path) -> None:
    project = made(tmp_path, window=400, fit=0.5)
    found = explained(project)
    assert found["limit"] == 200
    assert found["total"] <= 200
    assert part(found, "tests")["tokens"] == 0
    assert {why for _, why in part(found, "tests")["left_out"]} == {"cut back so that the whole prompt fits"}
    assert part(found, "inline")["tokens"] > 0, "the tests and the memory go first"
    assert "the prompt of" not in project.run("check", code=0).stderr
    project.configure(profiles={"default": {"window": 20}})
    said = project.run("check", code=1).stderr
    assert "the prompt of t has " in said
    assert "10 fit" in said
    assert "`agentjobs plan files --max-tokens 5`" in said


def test_check_says_how_to_split(tmp_path: Path) -> None:
    project = made(tmp_path, {}, window=200, fit=0.5)
    (project.root / "prompt.md.j2").write_text("{{ text }}{{ docs }}\n")
    project.rows({"id": "t", "text": "word " * 200, "docs": "docs/a.md"}, {"id": "u", "text": "word " * 300})
    first, second = project.run("check", code=1).stderr.splitlines()[:2]
    assert "in it column 'text' 201; spread the documents over more tasks" in first
    assert "`agentjobs plan pack DOCS --budget 50`, with --split" in first
    assert "in it column 'text' 301; shorten prompt.md.j2 or the cells" in second


def test_check_warns_of_a_long_memory_once(tmp_path: Path) -> None:
    project = made(tmp_path)
    (project.root / "AGENTS.md").write_text("word " * 499)
    project.git("commit", "-qam", "short enough")
    assert project.run("check", code=0).stderr == ""
    (project.root / "AGENTS.md").write_text("word " * 900)
    (project.root / "CLAUDE.md").write_text("word " * 900)
    project.git("add", "-A")
    project.git("commit", "-qam", "too long")
    project.rows({"id": "t"}, {"id": "u"})
    assert project.run("check", code=0).stderr == (
        "agentjobs: AGENTS.md: warning: 901 tokens, which every agent reads in every task; "
        "keep only what all tasks need, at most 500\n"
    )


def test_a_repair_gets_its_context_and_a_resumed_conversation_none(tmp_path: Path) -> None:
    project = made(tmp_path)
    project.rows({"id": "t", "files": "src/parser.js t.txt t.txt.part", "plan": "crash,wrong,ok"})
    assert project.settle() == {"t": "DONE"}
    assert project.modes("t") == ["first", "resume", "repair"]
    first, resumed, repair = (project.prompt("t", number) for number in (1, 2, 3))
    context = first[first.index("## Instructions of the project") :]
    assert context in repair
    assert repair.index(context) > repair.index("attempt 3")
    assert "## " not in resumed
    (project.root / "prompt.md.j2").write_text("Task {{ id }}.\n")
    project.rows({"id": "s", "files": "src/parser.js s.txt s.txt.part", "plan": "wrong,ok"})
    assert project.settle()["s"] == "DONE"
    repair = project.prompt("s", 2)
    assert repair.index("## Contents of the files") < repair.index("## An earlier attempt failed")
    said = project.run("prompt", "s", "--explain", code=0).stdout
    assert "This is a first attempt of s (profile default); 2 were made." in said


def test_handoffs_are_under_a_budget(tmp_path: Path) -> None:
    project = made(tmp_path, {"handoffs_tokens": 400})
    project.rows(
        {"id": "a", "plan": "report", "says": "word " * 1000},
        {"id": "b", "plan": "report", "says": "I made `run(x)`."},
        {"id": "t", "after": "a b", "plan": "ok"},
    )
    assert set(project.settle().values()) == {"DONE"}
    told = project.prompt("t", 1)
    assert told == project.run("prompt", "t", code=0).stdout
    assert "### `b`\n\n```markdown\nI made `run(x)`.\n```\n" in told
    found = part(explained(project), "handoffs")
    assert 0 < found["tokens"] <= 400
    (project.root / "prompt.md.j2").write_text("{% for one in handoffs %}<{{ one.id }}>{% endfor %}\n")
    told = project.run("prompt", "t", code=0).stdout
    assert "<b>" in told
    assert "##" not in told, "what a template prints itself does not appear twice"


def test_handoffs_that_were_left_out_are_named(tmp_path: Path) -> None:
    row = Row(id="t", line=2, status=Status.TODO, cells={"id": "t"})
    handoffs = [
        {"id": "a", "text": "I made it.", "kind": "full"},
        {"id": "b", "text": "word " * 90, "kind": "full"},
        {"id": "c, d", "text": "(left out, no room: the handoffs of c, d)", "kind": "left out"},
    ]
    parcel = Parcel(row, TaskContext(handoffs_tokens=60), DiskTree(tmp_path), handoffs, Room(Scale(), 1000))
    section = parcel.sections()["handoffs"]
    assert section.left_out == (("handoffs of c, d", "over the budget"), ("b", "over the budget"))
    last = "(left out, no room: the handoffs of c, d)\n"
    assert section.text.endswith(f"### `a`\n\n```markdown\nI made it.\n```\n\n{last}")
    assert [one["id"] for one in parcel.kept(section)] == ["a", "c, d"]
    assert parcel.kept(None) == []


def test_without_trees_the_disk_is_read(tmp_path: Path) -> None:
    project = made(tmp_path)
    project.configure(workspace={"kind": "none"})
    (project.root / "src/parser.js").write_text("export const dirty = 1;\n")
    (project.root / "src/ignored.js").write_text("x\n")
    told = project.run("prompt", "t", code=0).stdout
    assert "export const dirty = 1;" in told
    assert "### `AGENTS.md`" in told
    assert "- `test/parser.test.js` (imports them; line 1)" in told
    project.run("check", code=0)


def test_no_link_leads_a_prompt_out_of_the_project(tmp_path: Path) -> None:
    project = made(tmp_path)
    project.configure(workspace={"kind": "none"})
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("AGENTS.md", "key.txt"):
        (secrets / name).write_text("a secret\n")
    (project.root / "linked").symlink_to(secrets)
    (project.root / "key.txt").symlink_to(secrets / "key.txt")
    project.rows({"id": "t", "files": "key.txt linked/key.txt linked/ src/parser.js"})
    told = project.run("prompt", "t", code=0).stdout
    assert "### `AGENTS.md`" in told
    assert "a secret" not in told


def test_directories_globs_and_what_is_no_text(tmp_path: Path) -> None:
    project = made(tmp_path)
    (project.root / "src/logo.bin").write_bytes(b"\0\1")
    (project.root / "src/latin.js").write_bytes(b"// \xe9\n")
    project.git("add", "-A")
    project.git("commit", "-qm", "odd ones")
    project.rows({"id": "t", "files": "src/ test/*.js"})
    found = explained(project)
    assert part(found, "inline")["left_out"] == [["src/latin.js", "not UTF-8"], ["src/logo.bin", "no text"]]
    told = project.run("prompt", "t", code=0).stdout
    assert "- `src/` (6 files)\n- `test/*.js` (2 files)\n\nNot shown below" in told
    assert "### `src/lexer.js`\n\n```js\nexport function lex(text, from = 0) {\n  return" in told, "in full"
    project.rows({"id": "t"})
    assert "## Files" not in project.run("prompt", "t", code=0).stdout


def test_odd_names_of_files(tmp_path: Path) -> None:
    project = made(tmp_path)
    odd = [b"src/\xff.js", b"src/a`b.js", b"src/[id].js", b"src/-x y.js"]
    for name in odd:
        Path(os.fsdecode(os.fsencode(project.root) + b"/" + name)).write_text("export const a = 1;\n" * 40)
    project.git("add", "-A")
    project.git("commit", "-qm", "odd ones")
    project.rows({"id": "t", "files": "src/"})
    project.configure(profiles={"default": {"context": {"files": "inline", "inline_tokens": 150}}})
    told = project.run("prompt", "t", "--explain", code=0).stdout
    assert "src/a`b.js: over the budget" in told
    prompt = project.run("prompt", "t", code=0).stdout
    assert "- ``src/a`b.js`` (over the budget)" in prompt
    project.rows({"id": "t", "files": "'src/[id].js'"})
    assert "- `src/[id].js` (over the budget)" in project.run("prompt", "t", code=0).stdout


def test_sections_are_appended_only_where_no_template_prints_them() -> None:
    row = Row(id="a", line=2, status=Status.TODO, cells={"id": "a"})
    context = variables(row, sections={"tests": "## T\n"}, context="## T\n", errors="boom")
    told = render("Do it.\n", "p", context)
    assert told.startswith("Do it.\n\n## T\n\n## An earlier attempt failed")
    assert "## T" not in render("Do it. {{ sections.x or 1 if false }}\n", "p", context)
    assert render("", "p", variables(row, sections={"tests": "## T\n"}, context="## T\n")) == "## T\n"
