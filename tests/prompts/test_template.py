"""The prompt of an agent."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.model.errors import UserError
from agentjobs.model.facts import Mode
from agentjobs.model.outcomes import Outcome
from agentjobs.model.tasks import Row, Status
from agentjobs.prompts.template import VARIABLES, names_in, render, resume_prompt, variables

ROW = Row(
    id="a",
    line=2,
    status=Status.TODO,
    files=("lib/a.js", "lib/a b.ts"),
    cells={
        "id": "a",
        "item": "{{ 7 * 7 }}",
        "verify": "make",
        "two words": "x",
        "files": "lib/a.js 'lib/a b.ts'",
    },
)


def fail(template: str, **more: object) -> str:
    with pytest.raises(UserError) as error:
        render(template, "prompt.md.j2", {**variables(ROW), **more})
    return str(error.value)


def test_variables_and_columns() -> None:
    context = variables(
        ROW, verify=["tsc"], mode=Mode.REPAIR, attempt=3, base="abc", handoffs=[{"id": "b", "text": "t"}]
    )
    template = (
        "{{ id }} {{ mode }} {{ attempt }} {{ base }} {% for f in files %}<{{ f }}>{% endfor %} "
        "{{ verify[0] }} {{ row['verify'] }} {{ row['two words'] }} {{ handoffs[0].text }}{{ errors }}\n"
    )
    assert render(template, "p", context) == "a repair 3 abc <lib/a.js><lib/a b.ts> tsc make x t\n"
    assert set(VARIABLES) <= set(context)


def test_cells_are_data() -> None:
    assert render("{{ item }}", "p", variables(ROW)) == "{{ 7 * 7 }}"
    assert render("{{ item }}", "p", {"item": "<b> & 'c' \udcff"}) == "<b> & 'c' \udcff"


def test_final_newlines_stay() -> None:
    assert render("a\n\n", "p", {}) == "a\n\n"
    assert render("a", "p", {}) == "a"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("one\n{{ flies }}", "prompt.md.j2:2: 'flies' is undefined; did you mean \"files\"?"),
        ("\n\n{% if %}", "prompt.md.j2:3: "),
        ("{% for %}\n", "prompt.md.j2:1: "),
        ("\n{{ row.nope }}", "prompt.md.j2:2: "),
        ("\n{{ 1 // 0 }}", "prompt.md.j2:2: ZeroDivisionError"),
        ("{{ ''.__class__.__mro__ }}", "prompt.md.j2:1: "),
        ("{{ files.append(1) }}", "prompt.md.j2:1: "),
        ("{% include 'x' %}", "prompt.md.j2"),
        ("{{ range(10 ** 9) }}", "prompt.md.j2:1: OverflowError"),
        ("{{ files | random }}", "prompt.md.j2:1: "),
        ("{{ lipsum() }}", "prompt.md.j2:1: "),
    ],
)
def test_mistakes_have_file_and_line(template: str, message: str) -> None:
    told = fail(template)
    assert told.startswith(message)
    assert "\n" not in told


def test_errors_reach_a_template_that_forgets_them() -> None:
    context = variables(
        ROW, mode=Mode.REPAIR, errors="a.ts(1,2): error\n```\nx", tried=["1: verify_failed\nmore"]
    )
    text = render("Convert {{ id }}.\n", "p", context)
    assert text.startswith("Convert a.\n\n## An earlier attempt failed\n")
    assert "\n````\na.ts(1,2): error\n```\nx\n````\n" in text
    assert text.endswith("- 1: verify_failed more\n")


def test_errors_are_told_once() -> None:
    context = variables(ROW, errors="boom", tried=["one"])
    assert render("{{ errors }}", "p", context) == "boom"
    assert "boom" in render("{{ tried[0] }}", "p", context)
    assert "- one" not in render("{{ tried[0] }}", "p", context)
    assert render("x", "p", variables(ROW, tried=["one"])) == "x"


def test_names_in_a_template() -> None:
    assert names_in("{{ a }}{% for b in c %}{{ b }}{% endfor %}", "p") == {"a", "c"}
    with pytest.raises(UserError, match="p:1"):
        names_in("{{", "p")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_resume_says_why_and_to_go_on(outcome: Outcome) -> None:
    text = resume_prompt(outcome, "no output\nfor 600 s", verify=["npx tsc", "npm test"])
    assert text.splitlines()[0].startswith("You were interrupted")
    assert "no output for 600 s" in text
    assert "finish the task" in text
    assert text.endswith("```\nnpx tsc\nnpm test\n```\n")


@settings(max_examples=80, deadline=None)
@given(
    template=st.lists(
        st.sampled_from(["{{", "}}", "{%", "%}", "id", " ", "\n", "for", "|", "'", "(", "1", "#}", "{#", "é"])
    ).map("".join)
)
def test_any_template_renders_or_says_why(template: str) -> None:
    assert told(template) == told(template)


def told(template: str) -> str:
    try:
        return render(template, "p", variables(ROW))
    except UserError as error:
        return f"{error.file} {error}"


def test_a_poll_that_renders_nothing_does_not_load_jinja2() -> None:
    code = "import sys, agentjobs.prompts.template, agentjobs.agents.classify, agentjobs.tokens.count as t\n"
    code += "t.fits('x', 9)\n"
    code += "sys.exit(bool({'jinja2', 'tiktoken', 'lzma', 'zoneinfo'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
