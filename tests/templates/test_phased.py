"""The template ``phased``: steps of a refactoring in an order, each checked, landed, and built on by the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.templatejobs import Job

pytestmark = pytest.mark.sample(1)

STEPS = ["money", "stock", "cli", "report", "report-stock", "tests", "rename-total", "contract"]


def phased(directory: Path) -> Job:
    job = Job(directory, kind="phased")
    job.policy("wait_s = 5 .*", "wait_s = 0.2")
    return job


def test_all_phases_land_in_their_order(tmp_path: Path) -> None:
    job = phased(tmp_path)
    assert "0 errors" in job.run("check", code=0).stdout
    assert list(job.statuses()) == STEPS
    assert set(job.settled(bash=False).values()) == {"DONE"}
    landed = job.landings()
    assert sorted(landed) == sorted(STEPS)
    for task_id, row in job.table().items():
        assert all(landed.index(before) < landed.index(task_id) for before in row["after"].split())
    core = job.landed("shop/core.py") or ""
    assert "def order_total(prices):" in core
    assert "import re\n" not in core
    assert "stock" not in core
    assert (job.landed("shop/money.py") or "").startswith('"""Moved out of shop/core.py."""\n\nimport re\n')
    job.git("checkout", "-q", "agentjobs/landed")
    job.sh("python3 -m unittest discover -q -s tests -t .")
    assert "shop/core.py still offers them." in job.prompt("cli", 1), "steps read what those before them did"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("move in_stock,refund shop/core.py shop/stock.py", ("output.log", "shop/core.py does not define refund")),
        ("move in_stock shop/core.py shop/stock.py", ("verify.log", 'check 2: sh -c "$AGENTJOBS_ROW_PROOF"')),
    ],
)
def test_a_step_that_fails_holds_up_those_after_it_alone(tmp_path: Path, recipe: str, said: tuple[str, str]) -> None:
    job = phased(tmp_path)
    job.edit("stock", do=recipe)
    for name in ("resumes", "repairs", "restarts"):
        job.policy(f"{name} = . ", f"{name} = 0 ")
    job.dispatch()
    looped = job.loop()
    assert looped.last == 2, "what is left waits for what failed: nothing to do"
    statuses = job.statuses()
    assert {task_id for task_id, status in statuses.items() if status == "DONE"} == {"money", "cli", "report"}
    assert statuses["stock"] == "FAILED"
    assert said[1] in job.log("stock", 1, said[0]).decode()
    assert sorted(job.landings()) == ["cli", "money", "report"]
    blocked = {task_id: row["note"] for task_id, row in job.table().items() if row["status"] == "TODO"}
    assert list(blocked) == ["report-stock", "tests", "rename-total", "contract"]
    assert all("stock" in note or "tests" in note or "re" in note for note in blocked.values())
    if "refund" in recipe:  # fixed, the rest continues from there
        job.edit("stock", do="move in_stock,reserve shop/core.py shop/stock.py")
        job.run("retry", "--failed", code=0)
        assert job.loop().last == 2
        assert set(job.statuses().values()) == {"DONE"}


IMPROVER = """\
case $AGENTJOBS_MODE in
first) python3 "$AGENTJOBS_ROOT/tools/refactor.py" && sed -i.bak 's/> 0/>= 1/' shop/stock.py && rm shop/stock.py.bak ;;
*) sed -i.bak 's/>= 1/> 0/' shop/stock.py && rm shop/stock.py.bak ;;
esac
"""


def test_a_reviewer_sends_back_what_tests_do_not_see(tmp_path: Path) -> None:
    job = phased(tmp_path)
    (job.root / "improver.sh").write_text(IMPROVER)
    job.policy(r'command = \["python3", .*refactor\.py.*', 'command = ["sh", "{root}/improver.sh"]')
    job.run("dispatch", "stock", code=0)
    assert job.loop().last == 2
    assert job.outcomes("stock") == ["rejected", "ok"]
    assert "in_stock() has changed" in job.prompt("stock", 2)
    assert "stock.get(name, 0) > 0" in (job.landed("shop/stock.py") or "")


FINDING = '{"file": "shop/core.py", "line": 1, "severity": "high", "trigger": "t", "impact": "i"}'


@pytest.mark.slow
def test_what_the_script_cannot_fix_is_rejected(tmp_path: Path) -> None:
    """It does not crash because its recipe cannot be carried out twice."""
    job = phased(tmp_path)
    (job.root / "judge.sh").write_text(f"echo '{{\"findings\": [{FINDING}]}}' >\"$AGENTJOBS_VERDICT\"\n")
    job.policy(r'command = \["python3", .*reviewer\.py.*', 'command = ["sh", "{root}/judge.sh"]')
    job.run("dispatch", "stock", code=0)
    assert job.loop().last in {2, 3}
    assert set(job.outcomes("stock")) == {"rejected"}


@pytest.mark.parametrize(
    ("task", "recipe", "said"),
    [
        ("money", "move total shop/core.py shop/money.py", "the moved code uses parse_money"),
        ("money", "drop re shop/core.py", "still uses re"),
        ("money", "rename total format_money", "already contains the name format_money"),
        ("money", "repoint nothing shop.core shop.money", "no file of this step imports nothing"),
        ("money", "", "no recipe in the column `do`"),
    ],
)
def test_what_the_script_cannot_do_it_does_not_do_halfway(tmp_path: Path, task: str, recipe: str, said: str) -> None:
    job = phased(tmp_path)
    job.edit(task, do=recipe)
    env = f"AGENTJOBS_ROW_DO={recipe!r} AGENTJOBS_FILES='shop/core.py\nshop/money.py'"
    assert said in job.sh(f"{env} python3 tools/refactor.py", code=1)
    assert job.git("status", "--short", "shop") == ""
