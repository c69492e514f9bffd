"""The template ``fix-list``: a linter's findings become tasks, are fixed, and are checked by the linter itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kit.templatejobs import Job

TOOLS = Path(__file__).resolve().parents[2] / "templates" / "fix-list" / "tools"
PLAN = "sh tools/lint.sh | python3 tools/findings.py | agentjobs plan rows"


def fix_list(directory: Path, **files: str) -> Job:
    """A job over these Python files, planned."""
    named = {f"{name}.py": text for name, text in files.items()}
    job = Job(directory, files=named, kind="fix-list", demo=not files)
    found = job.sh("sh tools/lint.sh >found.txt; rc=$?; cat found.txt; exit $rc", code=1)
    assert found
    job.sh("python3 tools/findings.py <found.txt | agentjobs plan rows")
    return job


def test_all_that_the_linter_found_is_fixed(tmp_path: Path) -> None:
    job = fix_list(tmp_path)
    assert "0 errors" in job.run("check", code=0).stdout
    rows = {row["id"].rpartition("-")[0]: row for row in job.table().values()}
    assert rows["shelf-books-py-W291"]["line"] == "9 12", "one message in a file is one task, at all its lines"
    statuses = job.settled()
    assert len(statuses) == 6
    assert set(statuses.values()) == {"DONE"}
    assert len(job.landings()) == 6
    job.git("checkout", "-q", "agentjobs/landed")
    assert job.sh("sh tools/lint.sh") == ""
    labels = (job.root / "shelf/labels.py").read_text()
    assert "from textwrap import shorten\n" in labels
    job.sh("python3 -c 'import shelf.books, shelf.labels, shelf.loans'")
    assert job.git("diff", "--shortstat", "main", "agentjobs/landed").startswith("3 files changed")


def test_what_a_script_cannot_fix_fails_and_lands_nothing(tmp_path: Path) -> None:
    broken = "try:\n    import tomllib\nexcept ImportError:\n    pass\n"
    job = fix_list(tmp_path, guarded=broken, plain="x = 1  \n")
    job.policy("resumes = 1", "resumes = 0")
    job.policy("repairs = 2", "repairs = 0")
    job.policy("restarts = 1", "restarts = 0")
    statuses = {task_id.rpartition("-")[0]: status for task_id, status in job.settle().items()}
    assert statuses == {"guarded-py-F401": "FAILED", "plain-py-W291": "DONE"}
    failed = next(task_id for task_id in job.statuses() if task_id.startswith("guarded"))
    assert b"fix: that would break guarded.py" in job.log(failed, 1)
    assert job.landed("guarded.py") == broken.rstrip()


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("printf '# done\\n' >>calm.py", "calm.py:1: error: still there: F401 `os` imported but unused"),
        ("printf 'x = 1  \\n' >calm.py", "calm.py:1: error: new: W291 trailing whitespace"),
        ("printf 'x = (\\n' >calm.py", "check: the linter ended with exit 2 and reported nothing readable"),
    ],
)
def test_an_agent_that_only_says_so_lands_nothing(tmp_path: Path, agent: str, said: str) -> None:
    job = fix_list(tmp_path, calm="import os\n")
    (job.root / "liar.sh").write_text(f"{agent}\necho 'All findings are fixed.'\n")
    job.policy(r'command = \["python3", .*', 'command = ["sh", "{root}/liar.sh"]')
    for name in ("resumes", "repairs", "restarts"):
        job.policy(f"{name} = .", f"{name} = 0")
    assert set(job.settle().values()) == {"FAILED"}
    (task_id,) = job.statuses()
    assert said in job.log(task_id, 1, "verify.log").decode()
    assert job.landings() == []


@pytest.mark.slow
def test_a_finding_that_another_task_has_fixed_may_not_come_back(tmp_path: Path) -> None:
    job = fix_list(tmp_path, a="import os\nx = 1  \n")
    first, second = job.statuses()
    job.run("dispatch", first, code=0)
    assert job.loop().last == 2
    (job.root / "liar.sh").write_text("printf 'import os\\nx = 1\\n' >a.py\n")
    job.policy(r'command = \["python3", .*', 'command = ["sh", "{root}/liar.sh"]')
    for name in ("resumes", "repairs", "restarts"):
        job.policy(f"{name} = .", f"{name} = 0")
    assert job.settle() == {first: "DONE", second: "FAILED"}
    assert "back again: another task had fixed it: F401" in job.log(second, 1, "verify.log").decode()


@pytest.mark.slow
def test_a_file_may_be_one_task(tmp_path: Path) -> None:
    job = Job(tmp_path, kind="fix-list")
    job.sh("sh tools/lint.sh >found.txt", code=1)
    job.sh("python3 tools/findings.py --by file <found.txt | agentjobs plan rows")
    assert [row["files"] for row in job.table().values()] == ["shelf/books.py", "shelf/labels.py", "shelf/loans.py"]
    assert set(job.settle().values()) == {"DONE"}
    job.git("checkout", "-q", "agentjobs/landed")
    job.sh("sh tools/lint.sh")


@pytest.mark.slow
def test_planned_again_nothing_is_done_twice(tmp_path: Path) -> None:
    job = fix_list(tmp_path, a="import os\n")
    (task_id,) = job.settle()
    job.sh(f"{PLAN.replace('sh tools/lint.sh', '(sh tools/lint.sh || :)')}")
    assert job.statuses() == {task_id: "DONE"}


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("src/a.py:3:1: F401 [*] `os` unused\nFound 1 error.", [("src/a.py", 3, "F401", "`os` unused")]),
        ("src/a.py:3:1: E711: comparison", [("src/a.py", 3, "E711", "comparison")]),
        ("a.py:9: error: No 'x' here  [name-defined]", [("a.py", 9, "name-defined", "No 'x' here")]),
        ("a.py:9: note: see above", []),
        ("a.ts(4,7): error TS2304: Cannot find name 'x'.", [("a.ts", 4, "TS2304", "Cannot find name 'x'.")]),
        (
            "\n/top/src/a.js\n  12:5  error  'x' is not defined   no-undef\n  13:1  warning  Unexpected var  no-var\n",
            [("src/a.js", 12, "no-undef", "'x' is not defined"), ("src/a.js", 13, "no-var", "Unexpected var")],
        ),
        ("a.c:1:2: warning: unused variable 'x' [-Wunused]", [("a.c", 1, "", "unused variable 'x' [-Wunused]")]),
        (
            "=== short test summary ===\nFAILED tests/test_a.py::test_x[1-2] - assert 1 == 2\nERROR tests/test_b.py",
            [("tests/test_a.py", 0, "test_x[1-2]", "assert 1 == 2"), ("tests/test_b.py", 0, "", "")],
        ),
    ],
)  # fmt: skip
def test_what_tools_print_is_understood(
    output: str, found: list[tuple[str, int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(TOOLS)
    import findings  # type: ignore[import-not-found]

    assert [tuple(finding) for finding in findings.parse(output, "/top")[0]] == found


def test_failing_tests_may_be_fixed_anywhere(tmp_path: Path) -> None:
    job = Job(tmp_path, files={"tests/test_a.py": ""}, kind="fix-list", demo=False)
    (job.root / "out.txt").write_text("FAILED tests/test_a.py::test_x - assert 1 == 2\n")
    job.sh("python3 tools/findings.py --no-files <out.txt | agentjobs plan rows")
    (row,) = job.table().values()
    assert (row["files"], row["rule"]) == ("", "test_x")
    assert json.loads((job.root / "findings.json").read_text()) == [["tests/test_a.py", "test_x", "", 1]]


def test_what_git_does_not_track_is_left_out(tmp_path: Path) -> None:
    job = Job(tmp_path, files={"a.py": ""}, kind="fix-list", demo=False)
    (job.root / "out.txt").write_text("a.py:1:1: W1 one\ntools/fix.py:1:1: W1 other\n")
    said = job.sh("python3 tools/findings.py <out.txt | agentjobs plan rows")
    assert "findings: 1 findings in 1 files; 1 left out: not in git" in said
    assert [row["file"] for row in job.table().values()] == ["a.py"]
