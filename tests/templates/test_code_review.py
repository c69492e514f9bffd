"""The template ``code-review``: modules are reviewed, findings judged by what they quote, and merged into a report."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.templatejobs import Job

pytestmark = pytest.mark.sample(1)

TOOLS = Path(__file__).resolve().parents[2] / "templates" / "code-review" / "tools"


def no_second_try(job: Job) -> None:
    for name in ("resumes", "repairs", "restarts"):
        job.policy(f"{name} = . ", f"{name} = 0 ")


def agent(job: Job, script: str) -> None:
    """Put another reviewer in the place of the script."""
    (job.root / "tools/other.py").write_text(script)
    job.policy(r'command = \["python3", .*reviewer\.py.*', 'command = ["python3", "{root}/tools/other.py"]')


def headings(job: Job) -> list[str]:
    return re.findall(r"^### (.*)", (job.root / "report.md").read_text(), re.MULTILINE)


def test_a_package_is_reviewed_judged_and_reported(tmp_path: Path) -> None:
    job = Job(tmp_path, kind="code-review")
    assert "0 errors" in job.run("check", code=0).stdout
    before = job.git("status", "--short", "till", "web")
    assert job.settled() == {
        "till-prices-py-to-stock-py": "DONE",
        "web-page-js": "DONE",
        "judge-till-prices-py-to-stock-py": "DONE",
        "judge-web-page-js": "DONE",
        "report": "DONE",
    }
    job.sh("agentjobs validate segment.schema.json segments/web-page-js.json")
    assert headings(job) == [
        "till/prices.py:6: mutable default of add()",
        "till/prices.py:24: a shell command made from values",
        "web/page.js:3: HTML made from a value",
        "till/prices.py:14: bare except",
        "web/page.js:9: every error is swallowed",
        "till/prices.py:23: TODO left in the code",
        "web/page.js:12: == converts what it compares",
    ]
    report = (job.root / "report.md").read_text()
    assert "2 modules, 7 findings; 2 more were dropped." in report
    dropped = report.partition("## Dropped")[2]
    assert "till/prices.py:19: comparison with None by == or !=: the line is marked as intended" in dropped
    assert "till/prices.py:28: TODO left in the code: that line is inside a string" in dropped
    assert job.git("status", "--short", "till", "web") == before, "a review changes nothing"
    # again: nothing is left to do, and one phase alone may be run anew
    assert job.poll().code == 2
    (job.root / "report.md").unlink()
    job.run("retry", "--phase", "report", code=0)
    assert job.loop().last == 2
    assert (job.root / "report.md").read_text() == report


LIAR = """\
import json, os, pathlib
out = pathlib.Path(os.environ["AGENTJOBS_ROW_OUTPUT"])
out.parent.mkdir(exist_ok=True)
finding = {"line": 1, "severity": "high", "title": "t", "trigger": "x", "impact": "y", "code": "z", "file": "a.py"}
if os.environ["AGENTJOBS_ROW_PROFILE"] == "review":
    found = {"module": os.environ["AGENTJOBS_ROW_MODULE"], "summary": "s", "findings": [finding]}
else:
    kept = [{"finding": 0, "severity": "high"}]
    found = {"segment": os.environ["AGENTJOBS_ROW_SEGMENT"], "kept": kept, "dropped": []}
CHANGE
out.write_text(json.dumps(found))
"""


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("change", "task", "said"),
    [
        ("found['findings'][0]['severity'] = 'awful'", "a-py", "/findings/0/severity:"),
        ("finding['file'] = 'b.py'", "a-py", "findings[0] is about b.py, which is not in this module"),
        ("open('a.py', 'a').write('y = 2\\n')", "a-py", "a.py: changed since it was listed"),
        ("", "judge-a-py", "finding 0 is kept, but a.py:1 reads: x = 1"),
        ("found.get('kept', []).clear()", "judge-a-py", "finding 0 (t) appears 0 times, not once"),
    ],
)
def test_what_a_reviewer_makes_up_is_not_taken(tmp_path: Path, change: str, task: str, said: str) -> None:
    job = Job(tmp_path, files={"a.py": "x = 1\n"}, kind="code-review", demo=False)
    agent(job, LIAR.replace("CHANGE", change))
    no_second_try(job)
    job.dispatch()
    assert job.loop().last == 3, "the phase after it waits: a person is needed"
    assert job.statuses()[task] == "FAILED"
    assert said in job.log(task, 1, "verify.log").decode()


def test_what_could_not_be_reviewed_is_named(tmp_path: Path) -> None:
    files = {f"m{n}/a.py": "try:\n    x = 1\nexcept:\n    pass\n" for n in range(3)}
    job = Job(tmp_path, files=files, kind="code-review", demo=False)
    agent(job, 'import os, reviewer\nos.environ["AGENTJOBS_TASK"] != "m1-a-py" and reviewer.main()\n')
    settings = job.root / "agentjobs.toml"
    settings.write_text(settings.read_text().replace("min_done = 0.9 ", "min_done = 0.6 "))
    no_second_try(job)
    statuses = job.settle()
    assert statuses["m1-a-py"] == "FAILED"
    assert statuses["report"] == "DONE"
    report = (job.root / "report.md").read_text()
    assert "2 modules, 2 findings" in report
    assert "## Not reviewed, or not judged\n\n- m1/a.py (review: FAILED)\n" in report


def mistakes(text: str, language: str) -> list[tuple[int, str]]:
    """What the script finds in a text, by line."""
    code = f"import json, sys; sys.path.insert(0, {str(TOOLS)!r}); import {language} as of\n"
    code += "print(json.dumps(sorted(set((m[0], m[2]) for m in of.mistakes(sys.stdin.read())))))"
    done = subprocess.run([sys.executable, "-B", "-c", code], input=text, capture_output=True, text=True, check=True)
    found: list[list[Any]] = json.loads(done.stdout)
    return [(line, title) for line, title in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def f(a, b=dict(), *, c={}):\n    return a\n", [(1, "mutable default of f()")]),
        ("def f(a=(), b=None, c=dict(x=1)):\n    return a\n", [(1, "mutable default of f()")]),
        ("try:\n    f()\nexcept:\n    raise\n", []),
        ("try:\n    f()\nexcept ValueError:\n    pass\n", []),
        ("try:\n    f()\nexcept Exception:\n    pass\nfinally:\n    g()\n", [(3, "every error is swallowed")]),
        ("def f():\n    try:\n        g()\n    finally:\n        return 1\n", [(5, "return in finally")]),
        ("eval('1')\neval(x)\nmodel.eval()\n", [(2, "eval() of a value")]),
        ("a is 'b'\na is None\na is True\n", [(1, "`is` with a literal")]),
        ("assert (x, 'must be')\n", [(1, "an assertion that cannot fail")]),
        ("def f():\n" + "    x = 1\n" * 80, [(1, "f() has 81 lines")]),
        ("x = 'TODO'\n", []),
    ],
)
def test_mistakes_of_python(text: str, found: list[tuple[int, str]]) -> None:
    assert mistakes(text, "python") == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("eval(x); 'eval(x)'; // eval(x)\nmodel.eval(x);\n", [(1, "code made from a value")]),
        ("a == null; a === b; a => b; a >= b;\nif (a != b) {}\n", [(2, "== converts what it compares")]),
        ("const r = /a==b/;\n/* FIXME\n   TODO */\n", [(2, "FIXME left in the code")]),
        ("try { f() } catch {}\n", [(1, "every error is swallowed")]),
        ("function f(a) {\n" + "  g({});\n" * 80 + "}\n", [(1, "a function of 82 lines")]),
        ("if (a) {\n" + "  g();\n" * 90 + "}\n", []),
    ],
)
def test_mistakes_of_javascript(text: str, found: list[tuple[int, str]]) -> None:
    assert mistakes(text, "javascript") == found
