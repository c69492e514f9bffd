"""What the documents say is what the program does."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from agentjobs import __version__
from agentjobs.cli.main import COMMANDS
from agentjobs.disk.processes import MARK
from agentjobs.model.columns import TOOL_COLUMNS
from agentjobs.model.errors import ExitCode
from agentjobs.model.facts import Mode
from agentjobs.model.outcomes import Outcome
from agentjobs.model.steps import StepKind
from agentjobs.model.tasks import Status
from agentjobs.policy.parse import parse_policy
from agentjobs.policy.presets import preset
from tests.agent_reference import table as agent_table
from tests.command_reference import commands, reference
from tests.kit.harness import SILENT

if TYPE_CHECKING:
    from tests.kit.harness import Project

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
STEP_FILES = r"lock|json|exit\.json|kill\.json|log|plan\.json|at|\d\.check"
USER_COLUMNS = ("id", "status", "after", "files", "profile", "priority", "prompt", "verify")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    """The text of a document below a heading, up to the next one of its level."""
    found = text(name).partition(f"\n{heading}")[2]
    assert found, f"{name} has no section {heading!r}"
    return found.partition("\n" + heading.split(maxsplit=1)[0] + " ")[0]


def first_cells(table: str) -> list[str]:
    return re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)


# --- commands ---------------------------------------------------------------------------------------------


def test_the_command_reference_is_what_help_says() -> None:
    assert text("docs/commands.md") == reference(), "`make docs` writes it anew"


def test_the_table_of_agents_is_what_presets_say() -> None:
    assert agent_table() in text("docs/agents.md"), "`make docs` writes it anew"


def test_the_examples_of_agents_are_valid() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", text("docs/agents.md"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        policy = parse_policy(block.encode(), preset=preset)
        assert policy.agents or policy.profiles


def test_help_is_the_same_in_the_real_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agentjobs", "dispatch", "--help"],
        cwd=ROOT, env={**os.environ, "COLUMNS": "100"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert " ".join(done.stdout.split()) in " ".join(text("docs/commands.md").split())


@pytest.mark.parametrize(("name", "command"), [pytest.param(n, c, id=n) for n, c in commands()])
def test_every_command_explains_itself(name: str, command: click.Command) -> None:
    assert command.help
    assert "Example:" in command.help, f"{name} --help has no example"
    assert f"agentjobs {name.split()[1]}" in command.help.partition("Example:")[2]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[-1]} says nothing"
            assert parameter.help.endswith("."), f"{name} {parameter.opts[-1]}: a sentence ends with a period"


def test_commands_that_documents_name_exist() -> None:
    known = {name.removeprefix("agentjobs ") for name, _ in commands()} | {"run", "ID"}
    for path in DOCUMENTS:
        prose = path.read_text(encoding="utf-8").partition("## 14. Planned")[0]
        for command in re.findall(r"(?:`|\$ )agentjobs ([a-z]+(?:-[a-z]+)*)", prose):
            assert command in known, f"{path.name}: no command {command!r}"
    assert set(COMMANDS) <= known


# --- exit codes, columns, words ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "heading"), [("README.md", "## The loop"), ("docs/design.md", "## 4. Exit codes")])
def test_exit_codes(name: str, heading: str) -> None:
    codes = [int(cell) for cell in first_cells(section(name, heading)) if cell.isdigit()]
    assert codes == [int(code) for code in ExitCode]


@pytest.mark.parametrize(("name", "heading"), [("README.md", "## The table"), ("docs/files.md", "## tasks.tsv")])
def test_columns(name: str, heading: str) -> None:
    told = {word for cell in first_cells(section(name, heading)) for word in re.findall(r"`([a-z]+)`", cell)}
    assert told == {*USER_COLUMNS, *TOOL_COLUMNS}


def test_statuses() -> None:
    cells = first_cells(section("docs/files.md", "## tasks.tsv"))
    told = [cell.strip("`") for cell in cells if cell.startswith("`") and cell.isupper()]
    assert told == [status.value for status in Status]
    assert all(status.value in section("README.md", "## The table") for status in Status)


FOLLOWS = {"layer 1": (1, True), "layer 2": (2, True), "does not count": (0, False), "DONE": (0, True)}
FOLLOWS["FAILED at once"] = (0, True)
"""What a row of the table of outcomes says first, and what ``OutcomeRules`` says then: the layer, whether it counts."""


def test_outcomes() -> None:
    table = section("docs/design.md", "## 6. Outcomes")
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| `")]
    told = {
        Outcome(word): min(word_at for phrase in FOLLOWS if (word_at := (row[2].find(phrase), phrase))[0] >= 0)[1]
        for row in rows
        for word in re.findall(r"`([a-z_]+)`", row[0])
    }
    assert {outcome: FOLLOWS[phrase] for outcome, phrase in told.items()} == {
        outcome: (outcome.rules.layer, outcome.rules.counts) for outcome in Outcome
    }


def test_modes_and_steps() -> None:
    words = section("docs/how-it-works.md", "## Words")
    assert all(f"`{kind.value}`" in words for kind in StepKind)
    (modes,) = re.findall(r"^\| `AGENTJOBS_MODE` \|.*$", text("docs/configuration.md"), re.MULTILINE)
    assert all(f"`{mode.value}`" in modes for mode in Mode)


def test_every_file_of_the_store_is_described(project: Project) -> None:
    """After a run with interruptions, failures and landings there is no file that docs/files.md does not name."""
    reviewer = str(ROOT / "tests" / "kit" / "agents" / "reviewer.py")
    ledger = {"FAKE_LEDGER": str(project.ledger_path)}
    project.configure(
        landing={"gate": ["true"]}, workspace={"setup": "true"}, limits={"idle_minutes": SILENT},
        profiles={"default": {"review": ["critic"]}, "critic": {"agent": "critic"}},
        agents={"critic": {"command": [sys.executable, "-IS", reviewer, "critic"], "env": ledger}},
    )  # fmt: skip
    project.plans(a="crash,ok", b="wrong,ok", c="ok", d="hang,ok")
    project.dispatch()
    assert project.loop().last == ExitCode.NOTHING_LEFT
    listing = section("docs/files.md", "## .agentjobs")
    store = project.root / ".agentjobs"
    for path in sorted(store.rglob("*")):
        if path.is_dir() or path.relative_to(store).parts[0] in {"trees", "spare", "gate"} or path.name == ".gitignore":
            continue
        directory = path.parent.name
        known = (
            re.search(rf"(?<![\w.]){re.escape(path.name)}(?![\w.])", listing)
            or re.fullmatch(r"settled-\d+\.json", path.name)
            or re.fullmatch(rf"(setup|verify|gate)(-\d+)?\.({STEP_FILES})", path.name)
            or re.fullmatch(rf"review-\d+\.({STEP_FILES}|end\.json|prompt\.md)", path.name)
            or f"{directory}/<id>" in listing
        )
        assert known, f"{path.relative_to(store)} is not in docs/files.md"


# --- the environment --------------------------------------------------------------------------------------


ENVIRONMENTS = {"environment", "plan_environment"}


def environment_names() -> set[str]:
    """Every AGENTJOBS_* that steps are given, from the source of the functions which do."""
    words = []
    for name in ("agentjobs/prompts/briefing.py", "agentjobs/run/review/briefing.py"):
        tree = ast.parse(text(name))
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name in ENVIRONMENTS]
        nodes = [n for function in functions for n in ast.walk(function)]
        words += [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return {word for word in words if re.fullmatch(r"AGENTJOBS_[A-Z_]*[A-Z]", word)} | {MARK}


def test_environment_variables() -> None:
    told = set(re.findall(r"^\| `(AGENTJOBS_[A-Z_]*[A-Z])` \|", text("docs/configuration.md"), re.MULTILINE))
    assert told - {MARK} == environment_names() - {MARK}
    assert "`AGENTJOBS_ROW_<COLUMN>`" in text("docs/configuration.md")


# --- configuration, links, version ------------------------------------------------------------------------


def test_the_statuses_are_in_the_picture_of_a_task() -> None:
    picture = section("docs/how-it-works.md", "## The life of a task")
    assert all(status.value in picture for status in Status)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        linked = path.parent / name if name else path
        assert linked.is_file(), f"{path.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, f"{path.name}: {target}"


def slug(heading: str) -> str:
    """The anchor that a heading gets where these documents are shown."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_newest_version_has_its_changes() -> None:
    versions = re.findall(r"^## (\d+\.\d+\.\d+)", text("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == __version__
    assert f'version = "{__version__}"' in text("pyproject.toml")
