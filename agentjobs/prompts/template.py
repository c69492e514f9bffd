"""Fills a profile's prompt template for one task. Pure; the only module that imports jinja2.

A template is Jinja2; an undefined name is an error. Same inputs, same bytes. Cells of the table are data: they are
inserted into the text and never read as a template.
"""

from __future__ import annotations

import re
import shlex
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from agentjobs.model.errors import UserError
from agentjobs.model.facts import Mode
from agentjobs.prompts.sections import ORDER, fence_for
from agentjobs.text.nearest import did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

    from agentjobs.model.facts import Result
    from agentjobs.model.outcomes import Outcome
    from agentjobs.model.tasks import Row

VARIABLES = ("id", "row", "files", "docs", "verify", "mode", "attempt", "base", "errors", "tried", "handoffs",
             "phase", "missing", "dependents", "handoff", "context", "sections")  # fmt: skip
"""Names every template may use; a column of the same name is available as ``row["name"]``."""

_OWN_MISSING = re.compile(r"""\brow\s*(\.\s*missing\b|(\.get\s*\(|\[)\s*["']missing["'])""")

def variables(
    row: Row,
    *,
    verify: Sequence[str] = (),
    mode: Mode = Mode.FIRST,
    attempt: int = 1,
    base: str = "",
    errors: str = "",
    tried: Sequence[str] = (),
    handoffs: Sequence[Mapping[str, object]] = (),
    phase: str = "",
    missing: Sequence[str] = (),
    dependents: Sequence[str] = (),
    handoff: str = "",
    sections: Mapping[str, str] | None = None,
    context: str = "",
) -> dict[str, object]:
    """Return the variables of a template for a task: ``VARIABLES``, and each column whose name is free.

    ``row`` maps all columns to cells. ``docs`` are the documents in its cell. ``errors`` is the output of the check
    that failed, ``tried`` one line for each earlier attempt. ``handoffs`` has ``id`` and ``text`` of each earlier
    task. ``phase`` is the row's phase (or its own cell). ``missing`` are the ids of the previous phase that failed,
    and those in the row's own cell. ``dependents`` are the ids of tasks that wait for this one, ``handoff`` is the
    path where it writes its handoff for them. ``sections`` are the parts that the profile's ``context`` asks for, by
    name, ``context`` all of them as one text; without them (None) columns of these names keep their meaning.
    """
    columns: dict[str, object] = {name: cell for name, cell in row.cells.items() if name.isidentifier()}
    parts: dict[str, object] = {"context": context, "sections": dict(sections or dict.fromkeys(ORDER, ""))}
    return {
        **({**columns, **parts} if sections is not None else {**parts, **columns}),
        "id": row.id,
        "row": dict(row.cells),
        "files": list(row.files),
        "docs": _words(row.cells.get("docs", "")),
        "verify": list(verify),
        "mode": mode.value,
        "attempt": attempt,
        "base": base,
        "errors": errors,
        "tried": list(tried),
        "phase": phase or row.cells.get("phase", ""),
        "missing": list(dict.fromkeys([*missing, *row.cells.get("missing", "").split()])),
        "handoffs": [dict(left) for left in handoffs],
        "dependents": list(dependents),
        "handoff": handoff,
    }


def _words(cell: str) -> list[str]:
    """Return the shell words of a cell; the whole cell if it cannot be split."""
    try:
        return shlex.split(cell)
    except ValueError:
        return [cell]


def render(template: str, name: str, context: Mapping[str, object]) -> str:
    """Fill ``template``; ``name`` is its file, for messages.

    If ``context`` has ``errors`` and the template does not use them, a section with the errors and with ``tried`` is
    appended: a repair without its errors would be a first attempt again. The same for ``missing``. If the template
    uses neither ``context`` nor ``sections``, the sections come before them. UserError with file and line for a
    mistake in the template or an unknown name.
    """
    from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError  # slow to import

    try:
        text = _compile(template, name).render(context)
    except TemplateSyntaxError as error:
        raise UserError(f"{error.message} (in the template)", file=name, line=error.lineno) from None
    except UndefinedError as error:
        raise UserError(_undefined(str(error.message), context), file=name, line=_line_of(error, name)) from None
    except TemplateError as error:
        raise UserError(str(error.message), file=name, line=_line_of(error, name)) from None
    except Exception as error:  # noqa: BLE001 - a template is a program, and may fail in any way a program can
        raise UserError(f"{type(error).__name__}: {error}", file=name, line=_line_of(error, name)) from None
    used = names_in(template, name)
    text = _and_then(text, _sections(context, used))
    return text + _missing_section(context, template, used) + _repair_section(context, used)


def _sections(context: Mapping[str, object], used: frozenset[str]) -> str:
    """Return the sections of a context as text if the template does not print them."""
    sections = context.get("sections")
    there = isinstance(sections, dict) and any(sections.values())
    return str(context.get("context") or "") if there and not used & {"context", "sections"} else ""


def _and_then(text: str, more: str) -> str:
    """Return two texts with a blank line between them."""
    return f"{text.rstrip()}\n\n{more}" if more and text.strip() else text + more


@lru_cache(maxsize=16)
def _compile(template: str, name: str) -> Template:
    environment = _environment()
    code = environment.compile(template, name, name)
    return environment.template_class.from_code(environment, code, environment.globals)


@lru_cache(maxsize=16)
def names_in(template: str, name: str) -> frozenset[str]:
    """Return the variables a template uses. UserError if it cannot be parsed."""
    from jinja2 import TemplateSyntaxError  # slow to import
    from jinja2.meta import find_undeclared_variables

    try:
        return frozenset(find_undeclared_variables(_environment().parse(template, name, name)))
    except TemplateSyntaxError as error:
        raise UserError(f"{error.message} (in the template)", file=name, line=error.lineno) from None


@lru_cache(maxsize=16)
def printed_in(template: str, name: str) -> frozenset[str]:
    """Return the columns a template prints for every row.

    That is ``{{ task }}`` or ``{{ row["task"] }}``, outside of any ``if``.
    """
    from jinja2 import nodes  # slow to import

    found: set[str] = set()
    for output in _environment().parse(template, name, name).body:
        for node in output.nodes if isinstance(output, nodes.Output) else ():
            if isinstance(node, nodes.Name):
                found.add(node.name)
            elif isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == "row":
                found.add(node.attr)
            elif isinstance(node, nodes.Getitem) and isinstance(node.node, nodes.Name) and node.node.name == "row":
                found.add(str(node.arg.value) if isinstance(node.arg, nodes.Const) else "")
    return frozenset(found) - {*VARIABLES}


def resume_prompt(outcome: Outcome, detail: str = "", *, verify: Sequence[str] = ()) -> str:
    """Return the prompt that continues an interrupted conversation in the same tree.

    ``outcome`` and ``detail`` describe how the previous attempt ended; ``verify`` are the checks to come.
    """
    why = outcome.rules.resume or "it did not finish"
    known = f": {' '.join(detail.split())}" if detail.strip() else ""
    lines = [
        f"You were interrupted before you were finished: {why}{known}.",
        "",
        "Your files are as you left them. Look at what is already done, then finish the task.",
        "Do not start over.",
    ]
    if outcome.rules.resume_advice:
        lines += ["", outcome.rules.resume_advice]
    if verify:
        lines += ["", "These commands will check your work:", "", *_block("\n".join(verify))]
    return "\n".join(lines) + "\n"


def begun_section(before: Result | None, edited: Sequence[str] = ()) -> str:
    """Return the section that describes earlier work in the tree to a new conversation.

    ``before`` is how the previous attempt of this round ended, ``edited`` the files that a person has edited since.
    """
    lines = ["", "## Earlier work on this task", ""]
    if edited:
        lines += ["A person has since edited these files as part of this task. Keep their changes:", ""]
        lines += [*_block("\n".join(edited)), ""]
    elif before is not None:
        why = before.outcome.rules.resume or "it did not finish"
        lines += [f"Another agent was interrupted before it was finished: {why}.", ""]
    lines += ["The work so far is in the files. Look at what is already done, then finish the task."]
    return "\n".join(lines) + "\n"


def handoff_prompt(path: str) -> str:
    """Return the last prompt of a conversation whose context is full; it asks for a handoff in the file ``path``."""
    return f"""\
Your context is almost full, so this conversation ends here. A new agent, which cannot see it, continues the
task in the same directory, with the files as they are now.

Stop working: do not change files of the task, do not start anything. Write a handoff for that agent, at most 600 words:

- Done: what is finished, and how you know.
- Remaining: what is left to do, in which order.
- Decisions: what you decided, and why.
- Gotchas: what does not work, what was surprising, what should not be tried again.

Write it to the file {path} and print the same text as your last message. Do nothing else.
"""


def _missing_section(context: Mapping[str, object], template: str, used: frozenset[str]) -> str:
    """Return the section that names missing inputs; empty if the template or the row's own cell already does."""
    missing = context.get("missing")
    if not isinstance(missing, list) or not missing or "missing" in used or _OWN_MISSING.search(template):
        return ""
    lines = ["", "## What is missing", "", "These tasks failed, so their output does not exist:", ""]
    lines += [*_block(" ".join(missing)), ""]
    lines += ["Continue without it, and write in your output what is missing because of that."]
    return "\n".join(lines) + "\n"


def _repair_section(context: Mapping[str, object], used: frozenset[str]) -> str:
    errors = str(context.get("errors") or "")
    if not errors.strip() or "errors" in used:
        return ""
    lines = ["", "## An earlier attempt failed", ""]
    lines += ["The files are as that attempt left them. Fix what failed:", "", *_block(errors)]
    tried = context.get("tried")
    if isinstance(tried, list | tuple) and tried and "tried" not in used:
        lines += ["", "What was tried so far; if something failed twice, try something else:", ""]
        lines += [f"- {' '.join(str(line).split())}" for line in tried]
    return "\n".join(lines) + "\n"


def _block(text: str) -> list[str]:
    """Return a fenced block which nothing inside it can close."""
    fence = fence_for(text)
    return [fence, text.rstrip("\n"), fence]


@cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined  # slow to import, and most polls render no prompt
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,  # a prompt is text, not HTML
        keep_trailing_newline=True,
    )
    del environment.filters["random"], environment.globals["lipsum"]  # same inputs, same bytes
    return environment


def _line_of(error: BaseException, name: str) -> int | None:
    """Return the innermost line of the template in the traceback of ``error``."""
    line = None
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == name:
            line = step.tb_lineno
        step = step.tb_next
    return line


def _undefined(message: str, context: Mapping[str, object]) -> str:
    """Return what a template uses that does not exist, and which names exist."""
    missing = re.fullmatch(r"'dict object' has no attribute '(.*)'", message, re.DOTALL)
    row = context.get("row")
    if missing and isinstance(row, dict) and missing[1] not in row:
        columns = ", ".join(sorted(row))
        if nearest(missing[1], ORDER):
            return f"no column or section {missing[1]!r} (sections: {', '.join(ORDER)}; columns: {columns})"
        return f"no column {missing[1]!r} (columns: {columns}); add it to the table, or remove it from the template"
    undefined = re.match(r"'([^']+)' is undefined", message)
    return f"{message}; {did_you_mean(undefined[1], sorted(context))}" if undefined else message
