"""DONE only after every check passed on the very commit that lands: nothing else that lies in the tree helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kit.harness import Project

pytestmark = pytest.mark.sample(1)

SHELL = ["sh", "-c", 'cat >/dev/null; eval "$AGENTJOBS_ROW_DO"']
FIX, CHECK = "sed -i s/bad/ok/ a.txt", "grep -qx ok a.txt"


def shell(project: Project, do: str, *verify: str, **more: Any) -> None:
    """Let task ``a`` run a shell script as its agent."""
    project.configure(
        {"agents": {"shell": {"command": SHELL}}, "profiles": {"default": {"agent": "shell", "verify": [*verify]}}},
        retry={"resumes": 0, "repairs": 0, "restarts": 0, "diagnose_above": 1.0},
        **more,
    )
    project.rows({"id": "a", "files": "a.txt", "do": do})


@pytest.mark.sample(3)
@pytest.mark.parametrize("gate", [(), ("true",), (FIX, CHECK)])
@pytest.mark.parametrize(
    "fixer", [FIX, "rm -f bad.txt a.txt; echo ok > a.txt", "printf 'ok\\n' > new && mv new a.txt"]
)
def test_a_check_that_fixes_the_work_hides_nothing_from_the_next(
    project: Project, fixer: str, gate: tuple[str, ...]
) -> None:
    shell(project, "echo bad > a.txt", "true", fixer, CHECK, landing={"gate": [*gate], "wait_s": 0})
    assert project.settle() == {"a": "FAILED"}
    assert project.attempts("a")[-1]["result"]["detail"] == f"check 3 failed (exit 1): {CHECK}"
    assert project.landed("a.txt") is None


@pytest.mark.parametrize("batch", [1, 4])
def test_a_gate_that_fixes_the_work_lands_nothing(project: Project, batch: int) -> None:
    gate = [f"test ! -e a.txt || {FIX}", f"test ! -e a.txt || {CHECK}"]
    shell(project, "echo bad > a.txt", "true", landing={"gate": gate, "batch": batch, "wait_s": 0})
    assert project.settle() == {"a": "FAILED"}
    assert project.outcomes("a") == ["gate_failed"]
    assert project.landed("a.txt") is None


@pytest.mark.parametrize("checks", [("echo x >> README",), ("echo x >> README", "true", CHECK), ("rm README", "true")])
def test_an_edit_of_a_check_does_no_harm_and_does_not_land(project: Project, checks: tuple[str, ...]) -> None:
    shell(project, "echo ok > a.txt", *checks)
    assert project.settle() == {"a": "DONE"}
    assert project.landed("README") == "a scratch project"
    steps = {path.name for path in (project.root / ".agentjobs/attempts/a/001").glob("verify*.exit.json")}
    assert len(steps) == len(checks), "after the first one each runs alone"


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("ignored", "do"),
    [
        ("node_modules/\n", "mkdir -p node_modules/dep; echo x > node_modules/dep/index.js"),
        ("*.o\n", "echo x > helper.o"),
        ("", "echo helper >> $(git rev-parse --git-path info/exclude); echo x > helper"),
        (".env\n", "echo x > .env"),
    ],
)
def test_ignored_files_of_the_agent_help_no_check(project: Project, ignored: str, do: str) -> None:
    (project.root / ".gitignore").write_text(f".agentjobs/\nagentjobs.toml\nprompt.md.j2\ntasks.tsv\n{ignored}")
    project.git("commit", "-qam", "ignored", "--allow-empty")
    shell(project, f"echo ok > a.txt; {do}", "test -e node_modules/dep/index.js -o -e helper.o -o -e helper -o -e .env")
    assert project.settle() == {"a": "FAILED"}
    (attempt,) = project.attempts("a")
    assert attempt["result"]["outcome"] == "verify_failed"
    assert "The checks ran without ignored files that were made during this task" in attempt["result"]["errors"]


IGNORE_MODULES = ".agentjobs/\nagentjobs.toml\nprompt.md.j2\ntasks.tsv\nnode_modules/\n"
SETUP = "mkdir -p node_modules/dep && echo right > node_modules/dep/index.js && echo set up >> ../../../setups"
RIGHT = "grep -qx right node_modules/dep/index.js && ! test -e node_modules/dep/extra.js"


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("do", "setups"),
    [
        ("true", 1),
        ("echo x > node_modules/dep/extra.js", 1),
        ("echo wrong > node_modules/dep/index.js", 2),
        ("rm -r node_modules", 2),
        ("ln -sf /etc/passwd node_modules/dep/index.js", 2),
        ("chmod 000 node_modules/dep", 1),
    ],
)
@pytest.mark.parametrize("keep", [(), ("node_modules",)])
def test_checks_find_what_setup_made_and_nothing_else(
    project: Project, do: str, setups: int, keep: tuple[str, ...]
) -> None:
    (project.root / ".gitignore").write_text(IGNORE_MODULES)
    project.git("commit", "-qam", "ignored", "--allow-empty")
    shell(project, f"echo ok > a.txt; {do}", RIGHT, workspace={"setup": SETUP, "keep": [*keep]})
    assert project.settle() == {"a": "DONE"}, project.story()
    assert (project.root / "setups").read_text().count("set up") == setups


@pytest.mark.slow
def test_a_setup_that_fails_the_second_time_is_trouble_of_the_machine(project: Project) -> None:
    (project.root / ".gitignore").write_text(IGNORE_MODULES)
    project.git("commit", "-qam", "ignored")
    setup = "test ! -e ../../../once && mkdir node_modules && echo right > node_modules/i.js && : > ../../../once"
    shell(project, "echo ok > a.txt; echo wrong > node_modules/i.js", "true", workspace={"setup": setup})
    project.dispatch()
    assert project.loop().last == 3
    assert project.outcomes("a")[0] == "infra"
    assert project.landed("a.txt") is None


@pytest.mark.sample(3)
@pytest.mark.parametrize("scope", ["a.txt", ""])
@pytest.mark.parametrize(
    "setup",
    ["echo x >> README", "echo x > made", "rm README", "chmod +x README", "echo x > made; git add .; git commit -qm x"],
)
def test_what_setup_changes_is_nobodys_work(project: Project, setup: str, scope: str) -> None:
    identity = "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; "
    shell(project, "true", "true", workspace={"setup": identity + setup})
    good = {"id": "good", "files": scope and "b.txt", "do": "echo ok > b.txt"}
    project.rows({"id": "idle", "files": scope, "do": "true"}, good)
    assert project.settle() == {"idle": "FAILED", "good": "DONE"}
    assert project.outcomes("idle") == ["no_change"]
    assert project.git("diff", "--name-only", "main", "agentjobs/landed") == "b.txt"


def test_what_setup_makes_outside_of_ignored_paths_is_there_for_the_checks(project: Project) -> None:
    shell(project, "true", "test -e made/x", workspace={"setup": "mkdir made; echo x > made/x"})
    project.configure(slots=1)
    project.rows(*({"id": id_, "files": f"{id_}.txt", "do": "echo ok > $AGENTJOBS_TASK.txt"} for id_ in "ab"))
    assert project.settle() == {"a": "DONE", "b": "DONE"}
    assert project.git("diff", "--name-only", "main", "agentjobs/landed").split() == ["a.txt", "b.txt"]


@pytest.mark.sample(3)
@pytest.mark.parametrize("landing", [{"enabled": False}, {}, {"gate": ["true"], "wait_s": 0}])
@pytest.mark.parametrize("do", ["echo ok > a.txt", "true"])
def test_what_a_check_notes_is_in_the_table(project: Project, do: str, landing: dict[str, Any]) -> None:
    says = r"printf 'agentjobs-note: one\a\nno agentjobs-note: two\nagentjobs-note:\tthree\n'"
    shell(project, do, says, "echo agentjobs-note: one", landing=landing)
    project.configure(profiles={"default": {"require_change": False}})
    assert project.settle() == {"a": "DONE"}
    assert project.table()["a"]["note"] == "one; three"
