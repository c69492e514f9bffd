"""The keys of agentjobs.toml as data, read from the types of ``policy``, so that the reference is always right.

``python -m agentjobs.policy.reference`` prints the tables of docs/configuration.md.
"""

from __future__ import annotations

import ast
import inspect
from enum import Enum
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from agentjobs.policy import agent_output, agents, context, limits, plan_files, policy, schema_check
from agentjobs.text.toml import fields

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

SECTIONS: Final = (
    ("", policy.Policy),
    ("[limits]", limits.Limits),
    ("[retry]", limits.Retry),
    ("[workspace]", policy.Workspace),
    ("[profiles.NAME]", policy.Profile),
    ("[profiles.NAME.context]", context.TaskContext),
    ("[[profiles.NAME.checks]]", schema_check.SchemaCheck),
    ("[agents.NAME]", agents.Agent),
    ("[agents.NAME.flags]", agents.Flags),
    ("[agents.NAME.session]", agent_output.Session),
    ("[[agents.NAME.rules]]", agent_output.Rule),
    ("[[agents.NAME.reading]]", agent_output.Reading),
    ("[agents.NAME.usage]", agent_output.Usage),
    ("[agents.NAME.transcript]", agent_output.Transcript),
    ("[[agents.NAME.transcript_resets]]", agent_output.Reset),
    ("[agents.NAME.context]", agent_output.Context),
    ("[agents.NAME.watch]", agent_output.Watch),
    ("[[agents.NAME.prices]]", agent_output.Tariff),
    ("[landing]", policy.Landing),
    ("[plan]", plan_files.Planning),
)
"""Each section as written in the file, and its type; the top of the file is the empty one."""

_WORDS: Final[dict[Any, str]] = {
    str: "text", int: "whole number", float: "number", bool: "true or false", dict: "table"
}  # fmt: skip


class Key(msgspec.Struct, frozen=True):
    """One key: section, type, default, and a short description."""

    section: str
    name: str
    type: str
    default: str
    meaning: str


def keys() -> tuple[Key, ...]:
    """Return every key of every section, in the order of the file."""
    modules = (agents, context, agent_output, limits, plan_files, policy, schema_check)
    docs = {name: text for module in modules for name, text in _docstrings(module)}
    return tuple(
        Key(place, name, _type(info.type), _default(info), docs[kind.__name__, info.name])
        for place, kind in SECTIONS
        for name, info in fields(kind).items()
        if not _is_section(info.type)
    )


def reference() -> str:
    """Return the reference as Markdown: one table per section, one line per key."""
    parts = []
    for place, kind in SECTIONS:
        lines = [
            f"### {f'`{place}`' if place else 'The top of the file'}",
            "",
            inspect.getdoc(kind) or "",
            "",
        ]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        lines += [line(key) for key in KEYS if key.section == place]
        parts.append("\n".join(lines).replace("``", "`"))
    return "\n\n".join(parts) + "\n"


def line(key: Key) -> str:
    """Return the line of the reference for a key."""
    cells = (f"`{key.name}`", key.type, key.default, key.meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _docstrings(module: ModuleType) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the strings below the fields of a module's types; Python itself drops them."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            for field, text in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    name = ast.unparse(field.target)
                    yield (node.name, name), " ".join(str(ast.literal_eval(text.value)).split())


def _default(info: msgspec.structs.FieldInfo) -> str:
    if info.required:
        return "needed"
    value = info.default_factory() if info.default is msgspec.NODEFAULT else info.default
    if value is None:
        return "none"
    if value == {}:
        return "`{}`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{item}"' for item in value) + "]`"
    text = (
        str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else value
    )
    return f'`"{text}"`' if isinstance(value, str) else f"`{text}`"


def _type(kind: Any) -> str:
    """Return the type in words for a person who writes TOML."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(_type(arg) for arg in args if arg is not type(None))
    if origin is Annotated:
        return _bounds(_type(args[0]), args[1])
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in args)
    if origin is tuple:
        return f"list of {'texts' if args[0] is str else _type(args[0]).replace('table', 'tables', 1)}"
    if origin is dict:
        return "table of texts" if args[1] is str else "table"
    return "text" if issubclass(kind, Enum) else _WORDS[kind]


def _bounds(words: str, meta: msgspec.Meta) -> str:
    if meta.extra and "choices" in meta.extra:
        return " or ".join(f"`{choice}`" for choice in meta.extra["choices"])
    if meta.le is not None:
        return f"{words}, {'0' if meta.gt is None else 'above 0'} to {meta.le}"
    return f"{words} above {meta.gt}" if meta.gt is not None else f"{words}, {meta.ge} or more"


def _is_section(kind: Any) -> bool:
    """Return whether a key is a table or a list of tables with its own section."""
    kinds = (kind, *get_args(kind))
    return any(isinstance(part, type) and issubclass(part, msgspec.Struct) for part in kinds)


KEYS: Final = keys()
"""Every key of agentjobs.toml."""

if __name__ == "__main__":
    print(reference(), end="")
