"""Read a TOML file as a frozen type; errors name the line. Pure: bytes in, values out."""

from __future__ import annotations

import re
import tomllib
from enum import Enum
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from agentjobs.model.errors import UserError
from agentjobs.text.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str | int, ...]
"""Path of a value: keys, and positions (from 0) in arrays."""

T = TypeVar("T", bound=msgspec.Struct)

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_ASSIGN = re.compile(rf"\s*({_DOTTED})\s*=")
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_FIELDS: dict[type, dict[str, msgspec.structs.FieldInfo]] = {}


class FieldError(ValueError):
    """Raised by a type's ``__post_init__``: the value of ``key`` is wrong, for the reason in the message."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def load(data: bytes, file: str) -> dict[str, Any]:
    """Parse the bytes of a TOML file. Raises UserError with line and column if they are not TOML."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError("not UTF-8 text; save the file as UTF-8", file=file, line=line) from None
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UserError("nested too deeply", file=file) from None
    except ValueError as error:  # TOMLDecodeError, and a number with thousands of digits
        words, at = str(error), _AT.search(str(error))
        where = (int(at[1]), int(at[2])) if at and at[1] else (data.count(b"\n") + 1, None)
        words = words[: at.start()] if at else words
        raise UserError(f"not valid TOML: {words}", file=file, line=where[0], column=where[1]) from None


def decode(data: bytes, raw: dict[str, Any], kind: type[T], file: str) -> T:
    """Convert the result of ``load`` to ``kind``. Raises UserError that names the wrong key and its line."""
    try:
        return msgspec.convert(raw, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        # One C call converts. Only if it fails, the file is searched for the line to name.
        for path, words in _faults(raw, kind, ()):
            home = _home(path, kind) if words.startswith("unknown") else None
            text = f"{words.partition(';')[0]}; it belongs {home}" if home else words
            raise UserError(text, file=file, line=line_of(data, path)) from None
        raise UserError(str(error), file=file) from None


def section(path: Path) -> str:
    """Return ``[a.b]`` or ``[[a.b]]`` as the file would write the table at ``path``; empty for the top."""
    names = [str(part) for part in path if isinstance(part, str)]
    if not names:
        return ""
    text = ".".join(names)
    return f"[[{text}]]" if isinstance(path[-1], int) else f"[{text}]"


def spot(path: Path) -> str:
    """Return ``"key" in [section]`` for the value at ``path``."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    place = section(path[:-1])
    return f'"{path[-1]}" in {place}' if place else f'"{path[-1]}"'


def line_of(data: bytes, path: Path) -> int | None:
    """Return the line (from 1) that sets the value at ``path``, or one inside or around it."""
    around, inside, best = None, None, 0
    for number, here in _places(data.decode("utf-8-sig", "replace")):
        if len(here) > best and path[: len(here)] == here:
            around, best = number, len(here)
        elif inside is None and here[: len(path)] == path:
            inside = number
    return around if best == len(path) else inside or around


def fields(kind: type) -> dict[str, msgspec.structs.FieldInfo]:
    """Return the keys of a type as a file spells them."""
    if kind not in _FIELDS:
        _FIELDS[kind] = {info.encode_name: info for info in msgspec.structs.fields(kind)}
    return _FIELDS[kind]


def _places(text: str) -> Iterator[tuple[int, Path]]:
    """Yield for each header and each assignment its line and its path."""
    header: Path = ()
    counts: dict[Path, int] = {}
    quote = ""
    for number, line in enumerate(text.split("\n"), 1):
        inside, quote = quote, _open_quote(line, quote)
        if inside:
            continue
        if found := _HEADER.match(line):
            header = _under(_names(found[2]), counts)
            if found[1] == "[[":
                counts[header] = counts.get(header, -1) + 1
                header = (*header, counts[header])
            yield number, header
        elif found := _ASSIGN.match(line):
            here: Path = header
            for name in _names(found[1]):
                here = (*here, name)
                yield number, here


def _under(names: list[str], counts: dict[Path, int]) -> Path:
    """Resolve a header inside the newest element of each array of tables it passes."""
    path: Path = ()
    for name in names[:-1]:
        path = (*path, name)
        if path in counts:
            path = (*path, counts[path])
    return (*path, names[-1])


def _names(dotted: str) -> list[str]:
    return [next(iter(tomllib.loads(f"{name} = 0"))) for name in re.findall(_KEY, dotted)]


def _open_quote(line: str, quote: str) -> str:
    """Return the multi-line quote that is open after this line, given the one that was open before it."""
    at = 0
    while True:
        if quote:
            end = line.find(quote, at)
            if end < 0:
                return quote
            at, quote = end + 3, ""
        found = re.compile(r'"""|\'\'\'|"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*').search(line, at)
        if found is None:
            return ""
        at = found.end()
        if found[0] in ('"""', "'''"):
            quote = found[0]


def _faults(value: Any, kind: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield what msgspec rejected, innermost first, with the path that its own message leaves out."""
    kind = _bare(kind)
    inner = _struct_in(kind)
    if inner is None:
        yield from _misfit(value, kind, path)
    elif inner is kind and isinstance(value, dict):
        yield from _struct_faults(value, inner, path)
    elif inner is kind or not isinstance(value, (dict, list)):
        yield path, f"{spot(path)} must be a {_shape(kind)}"
    else:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            yield from _faults(item, inner, (*path, key))


def _struct_faults(value: dict[str, Any], kind: Any, path: Path) -> Iterator[tuple[Path, str]]:
    known = fields(kind)
    for key, item in value.items():
        if key not in known:
            yield (*path, key), _unknown(key, item, kind, path)
    for key, info in known.items():
        if key in value:
            yield from _faults(value[key], info.type, (*path, key))
        elif info.required:
            yield path, f'{section(path) or "the file"} needs "{key}"'
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        if isinstance(cause, FieldError):
            yield (*path, cause.key), f"{spot((*path, cause.key))}: {cause}"


def _unknown(key: str, item: Any, kind: Any, path: Path) -> str:
    what = f"section [{key}]" if not path and isinstance(item, dict) else f'key "{key}"'
    text = f"unknown {what}" + (f" in {section(path)}" if path else "")
    if close := nearest(key, list(fields(kind))):
        shown = f"[{close}]" if what.startswith("section") else f'"{close}"'
        return f"{text}; did you mean {shown}?"
    return f"{text}; known: {', '.join(fields(kind))}"


def _home(path: Path, root: type) -> str | None:
    """Describe where a key that is unknown here would be known: a TOML section goes on until the next header."""
    key, known = path[-1], fields(root)
    if len(path) > 1 and key in known and _struct_in(known[str(key)].type) is None:
        return "at the top, before the first [section]"
    homes = [name for name, info in known.items() if _is_struct(info.type) and key in fields(info.type)]
    return f"in [{homes[0]}]" if homes and path != (homes[0], key) else None


def _misfit(value: Any, kind: Any, path: Path) -> Iterator[tuple[Path, str]]:
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        words = str(error).split(" - at ")[0].replace("`", "").replace("Expected", "expected")
        words = words.replace("array", "list").replace("object", "table")
        if choices := _choices(kind):
            words = f"expected one of {', '.join(choices)}, got {value!r}"
        yield path, f"{spot(path)}: {words}"


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _shape(kind: Any) -> str:
    """Return how a file writes a type that contains Structs."""
    if _is_struct(kind):
        return "table"
    return "table of tables" if get_origin(kind) is dict else "list of tables"


def _struct_in(kind: Any) -> Any:
    """Return the Struct inside ``X``, ``tuple[X, ...]`` or ``dict[str, X]``, or None."""
    if _is_struct(kind):
        return kind
    if get_origin(kind) in (tuple, list, dict):
        return next((arg for arg in get_args(kind) if _struct_in(arg)), None)
    return None


def _bare(kind: Any) -> Any:
    """Return ``X`` for ``X | None``: TOML has no null."""
    args = [arg for arg in get_args(kind) if arg is not type(None)]
    return args[0] if get_origin(kind) in (Union, UnionType) and len(args) == 1 else kind


def _choices(kind: Any) -> list[str]:
    """Return the words a Literal or an Enum allows, also inside a list."""
    if get_origin(kind) is Annotated:
        extra = get_args(kind)[1].extra or {}
        return [str(choice) for choice in extra.get("choices", ())]
    if get_origin(kind) is Literal:
        return [str(choice) for choice in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(choice.value) for choice in kind]
    if get_origin(kind) in (tuple, list, Union, UnionType):
        return [choice for arg in get_args(kind) for choice in _choices(arg)]
    return []
