"""What an agent is told: the profile's template filled for one task. Pure; the home of jinja2.

A template is Jinja2 with undefined names as errors. Same inputs, same bytes. What the table holds is data: it
is put into the text and never read as a template.
"""

from __future__ import annotations

import re
import shlex
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from agentjobs.model.errors import UserError
from agentjobs.model.facts import Mode
from agentjobs.model.outcomes import Outcome
from agentjobs.prompts.sections import ORDER, fence_for
from agentjobs.text.nearest import did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

    from agentjobs.model.facts import Result
    from agentjobs.model.tasks import Row

VARIABLES = ("id", "row", "files", "docs", "verify", "mode", "attempt", "base", "errors", "tried", "handoffs",
             "phase", "missing", "dependents", "handoff", "context", "sections")  # fmt: skip
"""Names every template may use; a column of the same name is reached as ``row["name"]``."""

_OWN_MISSING = re.compile(r"""\brow\s*(\.\s*missing\b|(\.get\s*\(|\[)\s*["']missing["'])""")

INTERRUPTED = {
    Outcome.CRASHED: "the agent process ended with an error",
    Outcome.LOST: "the agent process was killed",
    Outcome.TIMEOUT: "the time for one attempt was over",
    Outcome.STALLED: "there was no output for too long",
    Outcome.LIMIT: "a usage limit was reached, which has been reset since",
    Outcome.OVERLOADED: "the model service was overloaded",
    Outcome.UNREACHABLE: "the model service could not be reached",
    Outcome.AUTH: "the login had failed",
    Outcome.STOPPED: "it was stopped",
}


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
    """Return what a template may use for a task: ``VARIABLES``, and each column whose name is free.

    ``row`` is the mapping of all cells, ``docs`` what it names to read, ``errors`` what the last attempt failed
    with, ``tried`` a line for each earlier one, ``handoffs`` an ``id`` and a ``text`` for each task before this one,
    ``phase`` the row's phase (or what its own cell says), ``missing`` the ids of those of the phase before that came to
    nothing, and what the row's own cell names, ``dependents`` the ids of the tasks that wait for it, ``handoff`` the
    path of what it is to write for them. ``sections`` are the parts that the profile's ``context`` asks for, by name,
    and ``context`` all of them as one text; without them (None) columns of these names keep their meaning.
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
    """Return the shell words of a cell; all of it where it is none."""
    try:
        return shlex.split(cell)
    except ValueError:
        return [cell]


def render(template: str, name: str, context: Mapping[str, object]) -> str:
    """Fill ``template``; ``name`` is its file, for messages.

    Where ``context`` has ``errors`` and the template makes no use of them, a section with them, and with what
    was ``tried``, is appended: a repair without its errors would be a first attempt again; likewise for
    ``missing``. Before them, where the template uses neither ``context`` nor ``sections``, the sections are. UserError
    with the file and line for a mistake in the template or a name that does not exist.
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
    """Return the sections of a context, if there are any and the template prints none."""
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
    """Return the variables a template uses. UserError for one that cannot be parsed."""
    from jinja2 import TemplateSyntaxError  # slow to import
    from jinja2.meta import find_undeclared_variables

    try:
        return frozenset(find_undeclared_variables(_environment().parse(template, name, name)))
    except TemplateSyntaxError as error:
        raise UserError(f"{error.message} (in the template)", file=name, line=error.lineno) from None


@lru_cache(maxsize=16)
def printed_in(template: str, name: str) -> frozenset[str]:
    """Return the columns a template prints for every row: ``{{ task }}``, ``{{ row["task"] }}``, within no ``if``."""
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
    """Return what a conversation that was cut short is told when it goes on in the same tree.

    ``outcome`` and ``detail`` say how the attempt before ended; ``verify`` are the checks to come.
    """
    why = INTERRUPTED.get(outcome, "it did not come to its end")
    known = f": {' '.join(detail.split())}" if detail.strip() else ""
    lines = [
        f"You were interrupted before you had finished: {why}{known}.",
        "",
        "Your files are as you left them. Look at what is already done, then continue the task to its end.",
        "Do not start over.",
    ]
    if outcome in (Outcome.TIMEOUT, Outcome.STALLED):
        lines += ["", "Avoid commands that do not end by themselves (servers, watchers, questions)."]
    if verify:
        lines += ["", "Your work will be checked with:", "", *_block("\n".join(verify))]
    return "\n".join(lines) + "\n"


def begun_section(before: Result | None, edited: Sequence[str] = ()) -> str:
    """Return the section that tells a fresh conversation about the work in its tree.

    ``before`` is how the attempt before it ended in this round, ``edited`` what a person has edited in the tree since.
    """
    lines = ["", "## This task was begun before", ""]
    if edited:
        lines += ["A person has edited these files since, as part of this task. Keep what they did:", ""]
        lines += [*_block("\n".join(edited)), ""]
    elif before is not None:
        why = INTERRUPTED.get(before.outcome, "it did not come to its end")
        lines += [f"Another agent was interrupted before it had finished: {why}.", ""]
    lines += ["The work so far is in the files. Look at what is already done, then continue the task to its end."]
    return "\n".join(lines) + "\n"


def handoff_prompt(path: str) -> str:
    """Return what a conversation is asked that was stopped because its context is full; ``path`` is for its answer."""
    return f"""\
Your context is almost full, so this conversation ends here. A fresh agent, which knows nothing of it, goes on with the
task in the same directory, on the files as they are now.

Do not work on: change no file of the task, start nothing. Write a handoff for that agent, at most 600 words:

- Done: what is finished, and how you know that it is.
- Remaining: what is still to be done, in which order.
- Decisions: what you decided, and why.
- Gotchas: what does not work, what was surprising, what must not be tried again.

Write it to the file {path} and print the same text as your last message. That is all.
"""


def _missing_section(context: Mapping[str, object], template: str, used: frozenset[str]) -> str:
    """Name what is missing, unless the template does so by itself, be it by the row's own cell."""
    missing = context.get("missing")
    if not isinstance(missing, list) or not missing or "missing" in used or _OWN_MISSING.search(template):
        return ""
    lines = ["", "## What is missing", "", "These tasks came to nothing, so what they were to write is not there:", ""]
    lines += [*_block(" ".join(missing)), "", "Go on without it, and say in what you write what it lacks for that."]
    return "\n".join(lines) + "\n"


def _repair_section(context: Mapping[str, object], used: frozenset[str]) -> str:
    errors = str(context.get("errors") or "")
    if not errors.strip() or "errors" in used:
        return ""
    lines = ["", "## An earlier attempt failed", ""]
    lines += ["The files are as that attempt left them. Put right what failed:", "", *_block(errors)]
    tried = context.get("tried")
    if isinstance(tried, list | tuple) and tried and "tried" not in used:
        lines += ["", "What was tried so far; choose another way where it failed twice:", ""]
        lines += [f"- {' '.join(str(line).split())}" for line in tried]
    return "\n".join(lines) + "\n"


def _block(text: str) -> list[str]:
    """Return a fenced block which nothing inside it can close."""
    fence = fence_for(text)
    return [fence, text.rstrip("\n"), fence]


@cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined  # slow to import, and most polls render nothing
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,  # a prompt is text, not HTML
        keep_trailing_newline=True,
    )
    del environment.filters["random"], environment.globals["lipsum"]  # same inputs, same bytes
    return environment


def _line_of(error: BaseException, name: str) -> int | None:
    """Return the innermost line of the template on the way to ``error``."""
    line = None
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == name:
            line = step.tb_lineno
        step = step.tb_next
    return line


def _undefined(message: str, context: Mapping[str, object]) -> str:
    """Say what a template asks for that is not there, and what is."""
    missing = re.fullmatch(r"'dict object' has no attribute '(.*)'", message, re.DOTALL)
    row = context.get("row")
    if missing and isinstance(row, dict) and missing[1] not in row:
        columns = ", ".join(sorted(row))
        if nearest(missing[1], ORDER):
            return f"no column or section {missing[1]!r} (sections: {', '.join(ORDER)}; columns: {columns})"
        return f"no column {missing[1]!r} (there are: {columns}); add it to the table, or take it out of the template"
    undefined = re.match(r"'([^']+)' is undefined", message)
    return f"{message}; {did_you_mean(undefined[1], sorted(context))}" if undefined else message
